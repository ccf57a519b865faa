"""The three kinds of measurement. Each returns the figures of one round as a dict."""
import json
import os
import resource
import time

import clients
import peers
import scenarios
from processes import core_busy_seconds, wait_until

WARM_UP_SECONDS = 0.5
SETTLE_SECONDS = 0.5
# Beside the connections, a process needs descriptors for files and for the other side.
SPARE_DESCRIPTORS = 1_000


class Bench:
    """What every measurement needs: the programs, the cores, the origins.

    `files` are paths that templates name. `shown` is what each variant that asks for it has to be shown.
    """

    def __init__(self, processes, programs, certificate, cores, folder, files=None, shown=None):
        self.processes = processes
        self.programs = programs
        self.certificate = certificate
        self.files = files or {}
        self.shown = shown or {}
        self.connect_tls = clients.Tls(certificate["cert"]) if certificate else None
        self.peer_core, self.load_core, self.origin_core = cores
        self.folder = folder
        self.origins = {}

    def origin(self, name):
        """An origin, which is started once and runs on: (process, port)."""
        if name not in self.origins:
            port = peers.free_port()
            log = os.path.join(self.folder, f"{name}.log")
            process = self.processes.start([self.programs[name], port], self.origin_core, log, self.folder)
            if not wait_until(lambda: clients.accepts(port), peers.START_SECONDS):
                raise RuntimeError(f"{name} did not start: {process.last_words()}")
            self.origins[name] = process, port
        return self.origins[name]

    def client(self, scenario):
        """What opens a connection and asks once over it, as one of `clients`; nothing if none of them can."""
        if scenario.encrypted:
            return self.connect_tls
        if scenario.variant in self.shown:
            shown = self.shown[scenario.variant]
            return clients.Guarded(shown["right"], shown["wrong"])
        return {"websocket": clients.websocket, "grpc": None}.get(scenario.variant, clients.plain)

    def measure(self, peer, scenario, seconds):
        """Starts a peer, measures it once and stops it again. `peer` is nothing for the origin itself."""
        kinds = {scenarios.THROUGHPUT: throughput, scenarios.LATENCY: latency, scenarios.MEMORY: memory}
        origin, origin_port = self.origin(scenario.origin)
        if peer is None:
            return kinds[scenario.kind](self, origin, origin_port, scenario, seconds)
        folder = os.path.join(self.folder, peer.name)
        realtime = scenario.kind == scenarios.LATENCY
        values = {"origin": origin_port, **self.certificate, **self.files}
        process, port = peers.start(peer, scenario, self.processes, self.peer_core, values, folder,
                                    self.client(scenario), realtime)
        try:
            time.sleep(SETTLE_SECONDS)
            figures = kinds[scenario.kind](self, process, port, scenario, seconds)
        finally:
            self.processes.stop(process)
        if scenario.variant == "log" and peer.name.startswith("gateward"):
            figures["log_lines"] = count_and_delete(os.path.join(folder, "access.log"))
        return figures

    def load(self, port, scenario, seconds, warm_up=False):
        """One run of the load generator. A peer that makes errors does other work: that gives no figure."""
        shown = self.shown.get(scenario.variant, {})
        if warm_up and scenario.shown_once:
            shown = {**shown, "tokens": shown["warm_up"]}
        options = [option.format(**shown) for option in scenario.options]
        command = [self.programs[scenario.load], port, scenario.connections, seconds, *options]
        output = self.processes.run(command, self.load_core, self.folder, seconds + 20)
        result = json_line(output)
        if result["errors"] or not result["requests"]:
            remark = next((line for line in output.splitlines() if line.startswith("first error")), "")
            counts = f"{result['errors']} errors, {result['requests']} requests"
            raise peers.PeerFailed(f"{counts}; {remark}")
        return result


def throughput(bench, process, port, scenario, seconds):
    """Requests per second, and the processor time of the peer for each of them."""
    warm_up = bench.load(port, scenario, WARM_UP_SECONDS, warm_up=True)
    cpu, busy, start = process.cpu_time(), core_busy_seconds(bench.peer_core), time.monotonic()
    load = bench.load(port, scenario, seconds)
    user, system = process.cpu_time().since(cpu)
    wall = time.monotonic() - start
    others = core_busy_seconds(bench.peer_core) - busy - (user + system)
    requests = load["requests"]
    return {
        "requests": requests,
        "all_requests": requests + warm_up["requests"],
        "rps": requests / load["seconds"],
        "us": (user + system) / requests * 1e6,
        "user_us": user / requests * 1e6,
        "system_us": system / requests * 1e6,
        # Shares of the peer's core while the load ran.
        "busy": (user + system) / wall,
        "others": max(0.0, others) / wall,
    }


def latency(bench, _process, port, scenario, seconds):
    """Percentiles in microseconds at a fixed rate."""
    whole_seconds = 1 + max(1, round(2 * seconds))  # the first one does not count
    command = [bench.programs["pace"], port, scenarios.LATENCY_RATE, scenarios.LATENCY_CONNECTIONS,
               whole_seconds]
    origin, _port = bench.origin(scenario.origin)
    bench.processes.prefer(origin, realtime=True)
    try:
        output = bench.processes.run(command, bench.load_core, bench.folder, whole_seconds + 20, True)
    finally:
        bench.processes.prefer(origin, realtime=False)
    return json_line(output)


def memory(bench, process, port, scenario, _seconds):
    """Memory after start, and what each idle connection adds after one request over it."""
    connect, count = bench.client(scenario), idle_connections(scenario)
    before = process.memory_kib()
    connections = []
    try:
        for _ in range(count):
            connections.append(connect(port, "/"))
        time.sleep(2 * SETTLE_SECONDS)
        after = process.memory_kib()
        if scenario.variant == "websocket":  # those that are gone would cost nothing
            for connection in connections:
                clients.echo(connection)
    finally:
        for connection in connections:
            connection.close()
    return {"connections": count, "start_mib": before / 1024, "full_mib": after / 1024,
            "connection_kib": (after - before) / count}


def idle_connections(scenario):
    """How many the limit of open files allows; a proxy may need two descriptors for each."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return min(scenario.connections, (limit - SPARE_DESCRIPTORS) // 2)


def json_line(text):
    """The figures among what load and pace print."""
    return json.loads(next(line for line in text.splitlines() if line.startswith("{")))


def count_and_delete(path):
    """How many lines an access log has; it is large, so it does not stay."""
    try:
        with open(path, "rb") as file:
            lines = sum(1 for _ in file)
    except OSError:
        return 0
    os.remove(path)
    return lines
