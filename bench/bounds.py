"""What Gateward promises to keep, and the judgement whether it did.

Every bound compares Gateward with a peer in the same scenario, or with itself in another, or stands alone.
"""
from dataclasses import dataclass

RATIO, DIFFERENCE, ABSOLUTE = "ratio", "difference", "absolute"


@dataclass(frozen=True)
class Bound:
    """`figure` of Gateward in `scenario` is at most `limit`.

    The limit is a factor of what it is compared with, or what is added to it, or a figure of its own.
    """

    scenario: str
    figure: str
    kind: str
    limit: float
    unit: str = ""
    versus: str = "nginx"
    versus_scenario: str = ""

    @property
    def other_scenario(self):
        """The scenario of what is compared with."""
        return self.versus_scenario or self.scenario

    def text(self):
        """The bound as it stands in a table."""
        if self.kind == ABSOLUTE:
            return f"≤ {self.limit:g} {self.unit}"
        if self.kind == DIFFERENCE:
            return f"≤ {self.versus}" + (f" + {self.limit:g} {self.unit}" if self.limit else "")
        return f"≤ {self.limit:.2f} × {self.versus_scenario or self.versus}"


BOUNDS = (
    Bound("a", "us", RATIO, 0.85),
    Bound("b", "us", RATIO, 0.80),
    Bound("c10", "us", RATIO, 0.83),
    Bound("c1m", "us", RATIO, 0.60),
    Bound("d", "us", RATIO, 0.85),
    Bound("g", "us", RATIO, 1.05),
    Bound("k", "us", RATIO, 1.03, versus="gateward", versus_scenario="k10"),
    Bound("log", "us", RATIO, 0.95),
    Bound("key", "us", RATIO, 0.88),
    Bound("limit", "us", RATIO, 0.90),
    Bound("limit", "us", RATIO, 0.80, versus="haproxy"),
    Bound("limit429", "us", RATIO, 0.50, versus="gateward", versus_scenario="limit"),
    Bound("leased", "us", RATIO, 1.05, versus="gateward", versus_scenario="limit"),
    # 13 µs where HAProxy needs 41 and Envoy 50: neither remembers what it has verified.
    Bound("jwt", "us", RATIO, 0.32, versus="haproxy"),
    Bound("jwt", "us", RATIO, 0.26, versus="envoy"),
    Bound("jwtmiss", "us", RATIO, 1, versus="haproxy"),
    Bound("jwtmiss", "us", RATIO, 1, versus="envoy"),
    Bound("tls", "us", RATIO, 0.82),
    Bound("tlsg", "us", RATIO, 0.65),
    Bound("h2", "us", RATIO, 0.85),
    Bound("grpc", "us", RATIO, 0.60, versus="envoy"),
    # What a direct connection takes is the same for both of a round, so it need not be subtracted here.
    Bound("lat", "p99", DIFFERENCE, 0, unit="µs"),
    Bound("mem", "start_mib", ABSOLUTE, 20, unit="MiB"),
    Bound("mem", "connection_kib", ABSOLUTE, 2, unit="KiB"),
    Bound("memtls", "connection_kib", ABSOLUTE, 14, unit="KiB"),
    Bound("memws", "connection_kib", ABSOLUTE, 4, unit="KiB"),
)


def verdict(bound, value, second_opinion=None):
    """`holds` or `missed by`, of the median over rounds; the ratio of medians is only a second opinion."""
    if value is None:
        return "not measured"
    over = value - bound.limit
    if over <= 0:
        text = "holds"
    elif bound.kind == RATIO:
        text = f"missed by {over:.3f}"
    else:
        text = f"missed by {over:.1f} {bound.unit}"
    if second_opinion is not None and (second_opinion <= bound.limit) != (over <= 0):
        text += "; too close to say: the two ratios disagree"
    return text
