"""The three kinds of measurement. Each returns the figures of one round: a dict for each peer, or its error."""
import contextlib
import json
import os
import resource
import time
from typing import NamedTuple

import clients
import peers
import scenarios
from processes import Process, core_busy_seconds, wait_until

WARM_UP_SECONDS = 0.5
SETTLE_SECONDS = 0.5
# Long enough that opening the connections does not show, short enough that what the host of a virtual machine
# does meanwhile is the same for all peers.
SLICE_SECONDS = 0.25
# What ends the measurement of one peer, and not the benchmark.
FAILURES = (peers.PeerFailed, RuntimeError, OSError, ValueError)
# What keeps state that gateways share.
STORE = "redis-server"
# Beside the connections, a process needs descriptors for files and for the other side.
SPARE_DESCRIPTORS = 1_000


class Ready(NamedTuple):
    """A peer that runs and has answered, or an origin."""

    scenario: scenarios.Scenario
    process: Process
    port: int


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
        self.store_port = None

    def store(self):
        """The port of a store, which is started once and runs on."""
        if not self.store_port:
            port = peers.free_port()
            command = [STORE, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
            log = os.path.join(self.folder, "store.log")
            process = self.processes.start(command, self.origin_core, log, self.folder)
            if not wait_until(lambda: clients.accepts(port), peers.START_SECONDS):
                raise RuntimeError(f"{STORE} did not start: {process.last_words()}")
            self.store_port = port
        return self.store_port

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

    def measure(self, members, seconds):
        """Starts each (scenario, peer), measures them and stops them again. A peer is nothing for the origin itself.

        Returns for each its figures, or the error that there is instead.
        """
        outcomes, ready = [None] * len(members), {}
        with contextlib.ExitStack() as running:
            for position, (scenario, peer) in enumerate(members):
                try:
                    ready[position] = running.enter_context(self.started(scenario, peer))
                except FAILURES as error:
                    outcomes[position] = error
            kinds = {scenarios.THROUGHPUT: throughput, scenarios.LATENCY: latency, scenarios.MEMORY: memory}
            measured = kinds[members[0][0].kind](self, list(ready.values()), seconds) if ready else ()
            for position, figures in zip(ready, measured):
                outcomes[position] = figures
        for (scenario, peer), figures in zip(members, outcomes):
            if scenario.variant == "log" and peer.name.startswith("gateward") and isinstance(figures, dict):
                figures["log_lines"] = count_and_delete(os.path.join(self.folder_of(scenario, peer), "access.log"))
        return outcomes

    @contextlib.contextmanager
    def started(self, scenario, peer):
        """A peer that runs while the block does."""
        origin, origin_port = self.origin(scenario.origin)
        if peer is None:
            yield Ready(scenario, origin, origin_port)
            return
        realtime = scenario.kind == scenarios.LATENCY
        values = {"origin": origin_port, **self.certificate, **self.files}
        if scenario.shared:
            values["store"] = self.store()
        process, port = peers.start(peer, scenario, self.processes, self.peer_core, values,
                                    self.folder_of(scenario, peer), self.client(scenario), realtime)
        try:
            time.sleep(SETTLE_SECONDS)
            yield Ready(scenario, process, port)
        finally:
            self.processes.stop(process)

    def folder_of(self, scenario, peer):
        """Where the files of a peer are; those of two that run at once must not be the same."""
        return os.path.join(self.folder, f"{peer.name}-{scenario.name}")

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


def throughput(bench, ready, seconds):
    """Requests per second, and the processor time of the peer for each of them.

    The load goes from one to the next in slices: what slows the machine for a second slows them all.
    """
    turns = [Turns(bench, *each) for each in ready]
    slices = 1 if ready[0].scenario.shown_once else max(1, round(seconds / SLICE_SECONDS))
    for _ in range(slices):
        for each in turns:
            each.take(seconds / slices)
    return [each.outcome() for each in turns]


class Turns:
    """What one peer did in its slices, taken together. After an error it is left out."""

    def __init__(self, bench, scenario, process, port):
        self.bench, self.scenario, self.process, self.port = bench, scenario, process, port
        self.requests = self.seconds = self.user = self.system = self.busy = 0
        self.error = None
        self.all_requests = self.ask(WARM_UP_SECONDS, warm_up=True)["requests"]

    def ask(self, seconds, warm_up=False):
        """The result of the load."""
        try:
            return self.bench.load(self.port, self.scenario, seconds, warm_up)
        except FAILURES as error:
            self.error = error
            return {"requests": 0, "seconds": 0}

    def take(self, seconds):
        """One slice."""
        if self.error:
            return
        core = self.bench.peer_core
        cpu, busy = self.process.cpu_time(), core_busy_seconds(core)
        load = self.ask(seconds)
        user, system = self.process.cpu_time().since(cpu)
        self.busy += core_busy_seconds(core) - busy
        self.user += user
        self.system += system
        self.requests += load["requests"]
        self.seconds += load["seconds"]

    def outcome(self):
        """Its figures, or the error."""
        if self.error:
            return self.error
        own = self.user + self.system
        return {
            "requests": self.requests,
            "all_requests": self.requests + self.all_requests,
            "rps": self.requests / self.seconds,
            "us": own / self.requests * 1e6,
            "user_us": self.user / self.requests * 1e6,
            "system_us": self.system / self.requests * 1e6,
            # Shares of the peer's core while the load ran.
            "busy": own / self.seconds,
            "others": max(0.0, self.busy - own) / self.seconds,
        }


def latency(bench, ready, seconds):
    """Percentiles in microseconds at a fixed rate."""
    (scenario, _process, port), = ready
    whole_seconds = 1 + max(1, round(2 * seconds))  # the first one does not count
    command = [bench.programs["pace"], port, scenarios.LATENCY_RATE, scenarios.LATENCY_CONNECTIONS,
               whole_seconds]
    origin, _port = bench.origin(scenario.origin)
    bench.processes.prefer(origin, realtime=True)
    try:
        output = bench.processes.run(command, bench.load_core, bench.folder, whole_seconds + 20, True)
    except FAILURES as error:
        return [error]
    finally:
        bench.processes.prefer(origin, realtime=False)
    return [json_line(output)]


def memory(bench, ready, _seconds):
    """Memory after start, and what each idle connection adds after one request over it."""
    (scenario, process, port), = ready
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
    except FAILURES as error:
        return [error]
    finally:
        for connection in connections:
            connection.close()
    return [{"connections": count, "start_mib": before / 1024, "full_mib": after / 1024,
             "connection_kib": (after - before) / count}]


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
