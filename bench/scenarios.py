"""The table of scenarios: what is asked of every peer, under which name.

A new scenario is one row of SCENARIOS. If the peers need another configuration for it, it names a variant:
the templates distinguish it (see `templates.render`), and the peers that can do it list it in `peers.PEERS`.
"""
from dataclasses import dataclass

THROUGHPUT, LATENCY, MEMORY = "throughput", "latency", "memory"

ROUTES = 10_000
# Ten prefixes spread over the table, so that where a route stands in it does not decide.
ASKED_PREFIXES = tuple(f"/svc{number}/" for number in range(0, ROUTES, ROUTES // 10))
ASKED_PATHS = tuple(option for prefix in ASKED_PREFIXES for option in ("-p", prefix + "item"))

LATENCY_RATE = 2_000
LATENCY_CONNECTIONS = 16
IDLE_CONNECTIONS = 9_500
IDLE_TLS_CONNECTIONS = 2_000
IDLE_WEBSOCKETS = 5_000


@dataclass(frozen=True)
class Scenario:
    """One row: `options` are those of the program `load`; an empty `peers` means all of them.

    Options may hold names in braces of what is shown to a peer that asks for it: see `credentials`.
    """

    name: str
    title: str
    kind: str = THROUGHPUT
    connections: int = 64
    options: tuple = ()
    # Names of programs.PROGRAMS.
    load: str = "load"
    origin: str = "origin"
    variant: str = "plain"
    prefixes: tuple = ("/",)
    peers: tuple = ()
    # Measured directly after that one, peer by peer, because the two are compared with each other.
    beside: str = ""
    # Where a figure hardly varies, one round is enough.
    once: bool = False

    @property
    def encrypted(self):
        """Whether the peers need a certificate."""
        return self.variant in ("tls", "h2")

    @property
    def signed(self):
        """Whether clients show tokens."""
        return self.variant == "jwt"

    @property
    def shared(self):
        """Whether gateways share state, in a store."""
        return self.variant == "leased"

    @property
    def shown_once(self):
        """Whether it needs many tokens."""
        return "{tokens}" in self.options


SCENARIOS = {scenario.name: scenario for scenario in (
    Scenario("a", "GET 128 B, 64 connections"),
    Scenario("b", "GET 128 B, 512 connections", connections=512),
    Scenario("c10", "GET 10 KiB, 64 connections", options=("-p", "/b10k")),
    Scenario("c1m", "GET 1 MiB, 16 connections", connections=16, options=("-p", "/b1m")),
    Scenario("d", "POST 10 KiB, 64 connections", options=("-b", "10240")),
    Scenario("g", "GET 128 B, a new connection for each request, 32 at a time", connections=32,
             options=("-n",)),
    Scenario("k", "as a, 10,000 prefix routes of which 10 are asked for", options=ASKED_PATHS,
             variant="routes", prefixes=tuple(f"/svc{number}/" for number in range(ROUTES))),
    Scenario("k10", "as k, with only the 10 routes that are asked for", options=ASKED_PATHS,
             variant="routes", prefixes=ASKED_PREFIXES, beside="k"),
    Scenario("log", "as a, Gateward writes its access log to a file; nginx keeps its log off",
             variant="log", peers=("nginx", "gateward")),
    Scenario("key", "as a, with an API key, of 1,000 consumers", options=("-H", "{right}"), variant="key"),
    Scenario("key401", "as key, with a key that nobody has: each is refused", options=("-H", "{wrong}", "-s", "401"),
             variant="key"),
    Scenario("limit", "as key, with a limit of requests for each consumer that is never reached",
             options=("-H", "{right}"), variant="limit", peers=("nginx", "haproxy", "gateward")),
    Scenario("limit429", "as limit, with a limit that is reached: each is refused",
             options=("-H", "{right}", "-s", "429"), variant="limited", peers=("nginx", "haproxy", "gateward"), beside="limit"),
    Scenario("leased", "as limit, and gateways share it through redis-server, by leases",
             options=("-H", "{right}"), variant="leased", peers=("gateward",), beside="limit"),
    Scenario("jwt", "as a, with a JSON Web Token (RS256, 2048 bits), always the same one",
             options=("-H", "{right}"), variant="jwt"),
    Scenario("jwtmiss", "as jwt, with another token for each request: all of them have to be verified",
             options=("-r", "{tokens}"), variant="jwt"),
    Scenario("tls", "GET 128 B over TLS 1.3, 64 connections", load="load_tls", variant="tls"),
    Scenario("tlsg", "as tls, a new connection with a full handshake (ECDSA P-256) for each request, 32 at a time",
             connections=32, options=("-n",), load="load_tls", variant="tls"),
    Scenario("h2", "GET 128 B over HTTP/2 and TLS 1.3, 32 connections of 8 streams, to a service with HTTP/1.1",
             connections=32, options=("-m", "8"), load="load_h2_tls", variant="h2"),
    Scenario("grpc", "gRPC calls with 128 B both ways over cleartext HTTP/2, 32 connections of 8 streams",
             connections=32, options=("-m", "8", "-g"), load="load_h2", origin="origin_grpc", variant="grpc"),
    Scenario("lat", f"GET 128 B at {LATENCY_RATE:,} requests/s over {LATENCY_CONNECTIONS} connections",
             kind=LATENCY),
    Scenario("mem", f"memory after start, and with {IDLE_CONNECTIONS:,} idle keep-alive connections",
             kind=MEMORY, connections=IDLE_CONNECTIONS, once=True),
    Scenario("memtls", f"as mem, with {IDLE_TLS_CONNECTIONS:,} idle connections of TLS 1.3",
             kind=MEMORY, connections=IDLE_TLS_CONNECTIONS, variant="tls", once=True),
    Scenario("memws", f"as mem, with {IDLE_WEBSOCKETS:,} idle WebSockets",
             kind=MEMORY, connections=IDLE_WEBSOCKETS, variant="websocket", once=True),
)}
