"""The table of faults: what fails when, under which load, and what must hold all the same."""
from dataclasses import dataclass

# The endpoint that fails, where one does.
VICTIM = 0
RATE = 2_000
# The fault begins when clients have been served well for so long; the first second is left out of "before".
CALM_SECONDS = 5
WARM_UP_SECONDS = 1
# After so long a client gives up. It is the same for all, and longer than what the gateways are told to wait.
PATIENCE_SECONDS = 5
FLAPS_PER_SECOND = 10
LEAST_OF_FLAPPING = 3


@dataclass(frozen=True)
class Settings:
    """Of one endpoint: requests at a time, and how long each takes on average.

    A fifth of that time varies, so that there is a difference between a median and a 99th percentile.
    """

    slots: int
    service_ms: int

    def of_board(self):
        """The settings as a board has them."""
        return {"slots": self.slots, "service_us": self.service_ms * 1000, "varying_permille": 200}

    @property
    def capacity(self):
        """Requests per second."""
        return self.slots * 1000 / self.service_ms


# Far more than is asked for: two endpoints can do the work of three, and one can be ten times slower.
AMPLE = Settings(slots=64, service_ms=5)
# A third of what would keep the services busy at 3,000 a second, so that two cores are enough for everything.
SCARCE = Settings(slots=10, service_ms=30)


@dataclass(frozen=True)
class Bound:
    """What must hold: a figure of `figures.py` is at most, or at least, a limit."""

    figure: str
    limit: float
    at_least: bool = False


@dataclass(frozen=True)
class Fault:
    """`actions` are (second, method of `Services`, its arguments); `end` is when the fault is over."""

    name: str
    title: str
    phases: tuple
    end: float
    actions: tuple = ()
    bounds: tuple = ()
    begin: float = CALM_SECONDS
    endpoints: int = 3
    settings: Settings = AMPLE
    # Who can do it at all; nothing stands for everybody.
    gateways: tuple = ()

    @property
    def variant(self):
        """The name as the templates of configurations know it."""
        return self.name.replace("_", "")

    # What `peers.start` asks for to see that a gateway answers.
    prefixes = ("/",)

    @property
    def seconds(self):
        """How long the load lasts."""
        return sum(seconds for _rate, seconds in self.phases)

    @property
    def capacity(self):
        """Requests per second that all endpoints together can serve."""
        return self.endpoints * self.settings.capacity


FLAPS = tuple((CALM_SECONDS + number / FLAPS_PER_SECOND, "reshuffle", (LEAST_OF_FLAPPING,))
              for number in range(55 * FLAPS_PER_SECOND))

FAULTS = {fault.name: fault for fault in (
    Fault("kill", "one of three endpoints is killed at 5 s (kill -9), and started again at 20 s",
          ((RATE, 24),), 20, ((5, "kill", (VICTIM,)), (20, "start", (VICTIM,))), (Bound("failed", 0),)),
    Fault("stop", "one of three endpoints is stopped at 5 s (SIGSTOP), and goes on at 20 s",
          ((RATE, 24),), 20, ((5, "suspend", (VICTIM,)), (20, "resume", (VICTIM,))),
          (Bound("failed_share", 0.001), Bound("recovered_s", 2))),
    Fault("half_500", "one of three endpoints answers half of its requests with a 500, from 5 s on for a minute",
          ((RATE, 65),), 65, ((5, "fail", (VICTIM, 500)),),
          (Bound("ejected_s", 2), Bound("failed_share", 0.01))),
    Fault("overload", "half of the capacity of three endpoints for 6 s, then three times the capacity for 20 s",
          ((500, 6), (3_000, 20)), 26, (), (Bound("goodput_share", 0.9, at_least=True), Bound("p99_ratio", 3)),
          begin=6, settings=SCARCE),
    Fault("slow", "one of three endpoints takes ten times as long, from 5 s on",
          ((RATE, 20),), 20, ((5, "slow_down", (VICTIM, 10)),)),
    Fault("flap", "twelve endpoints, of which others are listed ten times a second, from 5 s on; all of them run",
          ((500, 60),), 60, FLAPS, (Bound("failed", 0),), endpoints=12, gateways=("envoy", "gateward")),
)}
