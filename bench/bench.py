#!/usr/bin/env python3
"""Gateward beside other reverse proxies, on one machine. README.md says what it measures, and why so.

This file is the order of things: options, the rounds, progress, the report. What is asked stands in
scenarios.py, who is asked in peers.py, how it is measured in measure.py, what must hold in bounds.py.
"""
import argparse
import fcntl
import json
import os
import shutil
import platform
import resource
import signal
import sys
import time

import certificate
import credentials
import measure
import peers
import programs
import report
from processes import Processes, raise_priority
from scenarios import LATENCY, MEMORY, SCENARIOS, THROUGHPUT

OUTPUT = os.path.join(peers.ROOT, "target", "bench")
DEFAULT_PEERS = "nginx,haproxy,envoy,gateward"
# Starting, settling, warming up and stopping, for the estimate.
OVERHEAD_SECONDS = 2


def say(text="", end="\n"):
    """Prints at once, also into a pipe."""
    print(text, end=end, flush=True)


def read_options():
    """The command line, checked."""
    parser = argparse.ArgumentParser(description="Measures Gateward beside other reverse proxies.")
    parser.add_argument("--scenarios", type=names_of(SCENARIOS), default=list(SCENARIOS), metavar="a,b",
                        help="which ones, and in which order (default: all; see --list)")
    parser.add_argument("--peers", type=names_of(peers.PEERS), default=DEFAULT_PEERS, metavar="A,B",
                        help=f"of {', '.join(peers.PEERS)} (default: {DEFAULT_PEERS})")
    parser.add_argument("--rounds", type=positive(int), default=5, metavar="N", help="default: 5")
    parser.add_argument("--seconds", type=positive(float), default=2, metavar="S",
                        help="of load in a round (default: 2)")
    parser.add_argument("--gateward", type=programs_of, default=[], metavar="PATH[,PATH]",
                        help="builds to measure, as gateward, gateward2 (default: target/release/gateward)")
    parser.add_argument("--program", type=named_program, action="append", default=[], metavar="PEER=PATH",
                        help="the program of a peer, if it is not on PATH")
    parser.add_argument("--cores", type=cores_of, default=None, metavar="PEER,LOAD[,ORIGIN]",
                        help="which cores to use (default: the first ones)")
    parser.add_argument("--out", metavar="FILE",
                        help="raw results (default: a new file in target/bench/results)")
    parser.add_argument("--report", nargs="+", metavar="FILE",
                        help="only print the tables of earlier results, taken together")
    parser.add_argument("--list", action="store_true", help="only list the scenarios")
    options = parser.parse_args()
    options.cores = options.cores or default_cores(parser)
    return options


def names_of(known):
    """A type for options: names of `known`, separated by commas, each once."""
    def parse(text):
        names = list(dict.fromkeys(filter(None, text.split(","))))
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown) or text!r} is none of {', '.join(known)}")
        return names
    return parse


def positive(kind):
    """A type for options: a number above 0."""
    def parse(text):
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError("must be more than 0")
        return value
    return parse


def programs_of(text):
    """A type for options: paths of programs, separated by commas."""
    paths = [peers.executable(path) for path in text.split(",")]
    if None in paths:
        raise argparse.ArgumentTypeError(f"no program at {text.split(',')[paths.index(None)]!r}")
    return paths


def named_program(text):
    """A type for options: PEER=PATH."""
    name, _, path = text.partition("=")
    if name not in peers.PEERS or not peers.executable(path):
        raise argparse.ArgumentTypeError(f"{text!r} names no known peer, or no program")
    return name, peers.executable(path)


def cores_of(text):
    """A type for options: two or three numbers of cores that this process may use."""
    cores = [int(core) for core in text.split(",")]
    if len(cores) not in (2, 3) or not set(cores) <= os.sched_getaffinity(0):
        raise argparse.ArgumentTypeError(f"give two or three of {sorted(os.sched_getaffinity(0))}")
    return (*cores, cores[-1])[:3]


def default_cores(parser):
    """The peer on the first core, the load and the origin together on the second."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        parser.error("two cores are needed: one for the peer, one for the load")
    return cores[0], cores[1], cores[1]


def processor():
    """The name of the processor."""
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def plan(options, chosen):
    """Everything to measure, in order: (round, [(scenario, peer), ...]), where those of one step take turns."""
    groups = []
    for name in options.scenarios:
        if SCENARIOS[name].beside not in options.scenarios:
            beside = [other for other in options.scenarios if SCENARIOS[other].beside == name]
            groups.append([SCENARIOS[member] for member in (name, *beside)])
    steps = []
    for round_number in range(options.rounds):
        for group in groups:
            members = [(group[0], None)] if group[0].kind == LATENCY else []
            for peer in chosen:
                members += [(scenario, peer) for scenario in group
                            if peers.can(peer, scenario) and not (scenario.once and round_number)]
            together = [members] if group[0].kind == THROUGHPUT else [[member] for member in members]
            steps += [(round_number, step) for step in together if step]
    return steps


def without_part(options, chosen):
    """Lines about peers that cannot do some of the scenarios."""
    lines = []
    for peer in chosen:
        names = [name for name in options.scenarios if not peers.can(peer, SCENARIOS[name])]
        if names:
            lines.append(f"{peer.name} takes no part in {', '.join(names)}")
    return lines


def prepare(options):
    """Makes what the scenarios need; those that cannot be had are left out, with a line each.

    Returns the paths of the programs and of the certificate, and what clients show in each variant.
    """
    asked = [SCENARIOS[name] for name in options.scenarios]
    paths, missing = programs.compile_needed(asked, os.path.join(OUTPUT, "bin"))
    pem, shown = {}, {variant: credentials.KEY for variant in ("key", "limit", "limited", "leased")}
    try:
        if any(scenario.encrypted for scenario in asked):
            pem = certificate.certificate(os.path.join(OUTPUT, "certificate"))
    except certificate.NotMade as error:
        missing["certificate"] = str(error)
    try:
        if "tokens" in paths:
            many = any(scenario.shown_once for scenario in asked)
            shown["jwt"] = make_tokens(os.path.join(OUTPUT, "tokens"), paths["tokens"], many)
    except certificate.NotMade as error:
        missing["tokens"] = str(error)
    if any(scenario.shared for scenario in asked) and not shutil.which(measure.STORE):
        missing["store"] = f"there is no {measure.STORE}: the Debian package redis-server"
    for scenario in asked:
        needed = {scenario.load, scenario.origin, "pace" if scenario.kind == LATENCY else "",
                  "certificate" if scenario.encrypted else "", "tokens" if scenario.signed else "",
                  "store" if scenario.shared else ""}
        reasons = [missing[name] for name in sorted(needed & set(missing))]
        if reasons:
            options.scenarios.remove(scenario.name)
            say(f"{scenario.name} is left out: {'; '.join(reasons)}")
    return paths, pem, shown


def make_tokens(folder, program, many):
    """What clients show to peers that ask for tokens."""
    shown = credentials.token(folder, program)
    if many and not credentials.are_made(folder):
        say(f"signing {credentials.WARM_UP_TOKENS + credentials.TOKENS:,} tokens, once; that takes about half a minute")
    return {**shown, **(credentials.make_once(folder, program) if many else {})}


def summary(figures):
    """A few words about one result, for the progress."""
    if "us" in figures:
        return f"{figures['us']:8.2f} µs/request, {figures['rps']:,.0f} requests/s"
    if "p99" in figures:
        return f"p50 {figures['p50']:.0f} µs, p99 {figures['p99']:.0f} µs"
    return f"{figures['start_mib']:.1f} MiB, {figures['connection_kib']:.2f} KiB per connection"


def run_steps(steps, bench, options, log):
    """Measures everything, printing each step before it and its results after it. Returns how many failed.

    A scenario that a peer refuses once is not asked of it in the next rounds.
    """
    failed, refused = 0, set()
    for position, (round_number, members) in enumerate(steps, 1):
        members = [member for member in members if label(*member) not in refused]
        if not members:
            continue
        names = " ".join(dict.fromkeys(scenario.name for scenario, _ in members))
        say(f"{position:4}/{len(steps)}  round {round_number + 1}/{options.rounds}  {names}")
        for (scenario, peer), outcome in zip(members, bench.measure(members, options.seconds)):
            record = {"kind": "point", "scenario": scenario.name, "peer": peer.name if peer else peers.DIRECT,
                      "round": round_number, "at": round(time.time()), "load_average": os.getloadavg()[0]}
            if isinstance(outcome, Exception):
                failed += 1
                if isinstance(outcome, peers.PeerRefused):
                    refused.add(label(scenario, peer))
                record["failed"] = str(outcome)
            else:
                record.update(outcome)
            words = f"failed: {outcome}" if isinstance(outcome, Exception) else summary(outcome)
            say(f"           {label(scenario, peer):18} {words}")
            log.write(json.dumps(record) + "\n")
            log.flush()
    return failed


def label(scenario, peer):
    """The name of one measurement."""
    return f"{scenario.name:7} {peer.name if peer else peers.DIRECT}"


def header(options, chosen):
    """The first line of the raw results: what the points that follow were measured with."""
    return {"kind": "run", "at": round(time.time()), "rounds": options.rounds, "seconds": options.seconds,
            "cores": ", ".join(map(str, options.cores)), "load_average": os.getloadavg()[0],
            "machine": {"processor": processor(), "cores": os.cpu_count(), "kernel": platform.release()},
            "versions": {peer.name: peers.version_of(peer) for peer in chosen if peer.version}}


def lock():
    """One benchmark at a time; the lock ends with this process."""
    file = open(os.path.join(OUTPUT, "lock"), "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say("another benchmark is running; waiting for it to end")
        fcntl.flock(file, fcntl.LOCK_EX)
    return file


def allow_open_files(options):
    """Raises the limit of open files as far as it goes, for this process and those it starts."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for scenario in (SCENARIOS[name] for name in options.scenarios):
        connections = measure.idle_connections(scenario)
        if scenario.kind == MEMORY and connections < scenario.connections:
            say(f"the limit of open files is {hard}: {scenario.name} uses {connections} connections")


def interrupt(*_):
    """SIGTERM ends a benchmark as Ctrl-C does."""
    raise KeyboardInterrupt


def estimate(steps, seconds):
    """Minutes, roughly."""
    each = {LATENCY: 1 + 2 * seconds + OVERHEAD_SECONDS, MEMORY: 3 + OVERHEAD_SECONDS}
    return sum(each.get(scenario.kind, seconds + OVERHEAD_SECONDS)
               for _, members in steps for scenario, _ in members) / 60


def benchmark(options):
    """Measures what was asked for, prints the report, and returns the exit code."""
    paths, pem, shown = prepare(options)
    own_paths = {"floor": paths.get("floor"), **dict(options.program)}
    chosen, missing = peers.choose_peers(options.peers, options.gateward, own_paths)
    for line in missing + without_part(options, chosen):
        say(line)
    steps = plan(options, chosen)
    if not chosen or not steps:
        sys.exit("bench: there is nothing to measure")
    folder = os.path.join(OUTPUT, "run")
    os.makedirs(folder, exist_ok=True)
    os.makedirs(os.path.join(OUTPUT, "results"), exist_ok=True)
    out = options.out or os.path.join(OUTPUT, "results", time.strftime("%Y%m%d-%H%M%S.jsonl"))
    _held = lock()
    allow_open_files(options)
    # The core of the peers is for the peers alone.
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {options.cores[0]})
    say(f"{len(steps)} steps, about {estimate(steps, options.seconds):.0f} min; raw results in {out}")
    code = 130
    with Processes() as processes, open(out, "w") as log:
        log.write(json.dumps(header(options, chosen)) + "\n")
        try:
            raise_priority()
            bench = measure.Bench(processes, paths, pem, options.cores, folder,
                                  credentials.key_files(os.path.join(OUTPUT, "tokens")), shown)
            code = 1 if run_steps(steps, bench, options, log) else 0
        except KeyboardInterrupt:
            say("\ninterrupted; this is what there is so far")
    say(report.report([out]))
    return code


def main():
    """Entry point."""
    options = read_options()
    if options.list:
        for scenario in SCENARIOS.values():
            say(f"{scenario.name:7} {scenario.title}")
        return 0
    if options.report:
        say(report.report(options.report))
        return 0
    signal.signal(signal.SIGTERM, interrupt)
    return benchmark(options)


if __name__ == "__main__":
    sys.exit(main())
