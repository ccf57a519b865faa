#!/usr/bin/env python3
"""Gateward beside other gateways while services fail. README.md says what is done to them, and what must hold.

This file is the order of things: options, progress, the report. What fails stands in faults.py, who is in front
of it in gateways.py, how it is measured in measuring.py, what follows from it in figures.py.
"""
import argparse
import json
import os
import resource
import signal
import sys
import textwrap
import time

# The benchmark beside this folder has the processes, the peers and the forms of tables.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import bench
import gateways
import peers
import programs
import tables
from faults import FAULTS
from measuring import Runner
from processes import Processes, raise_priority

OUTPUT = os.path.join(bench.OUTPUT, "resilience")
OVERHEAD_SECONDS = 2


def read_options():
    """The command line, checked."""
    parser = argparse.ArgumentParser(description="Measures gateways while services fail.")
    parser.add_argument("--scenarios", type=bench.names_of(FAULTS), default=list(FAULTS), metavar="A,B",
                        help="which ones, and in which order (default: all; see --list)")
    parser.add_argument("--peers", type=bench.names_of(gateways.FILES), default=list(gateways.FILES), metavar="A,B",
                        help=f"of {', '.join(gateways.FILES)} (default: all)")
    parser.add_argument("--gateward", type=bench.programs_of, default=[], metavar="PATH[,PATH]",
                        help="builds to measure, as gateward, gateward2 (default: target/fast/gateward)")
    parser.add_argument("--program", type=bench.named_program, action="append", default=[], metavar="PEER=PATH",
                        help="the program of a peer, if it is not on PATH")
    parser.add_argument("--cores", type=bench.cores_of, default=None, metavar="PEER,LOAD[,SERVICES]",
                        help="which cores to use (default: the first ones)")
    parser.add_argument("--markdown", metavar="FILE", help="also write the report there")
    parser.add_argument("--out", metavar="FILE",
                        help="raw results (default: a new file in target/bench/resilience/results)")
    parser.add_argument("--report", nargs="+", metavar="FILE",
                        help="only print the tables of earlier results, taken together")
    parser.add_argument("--list", action="store_true", help="only list the scenarios")
    options = parser.parse_args()
    options.cores = options.cores or bench.default_cores(parser)
    return options


def compile_programs():
    """The paths of the load and of the service."""
    folder = os.path.join(bench.OUTPUT, "bin")
    os.makedirs(folder, exist_ok=True)
    return {name: programs.compile_program(name, folder) for name in ("arrivals", "service")}


def header(options, chosen):
    """Lines about what was measured on what."""
    return [f"{bench.processor()}, {os.cpu_count()} cores, Linux {bench.platform.release()}",
            f"load average before: {os.getloadavg()[0]:.2f}; "
            f"cores of the gateway, the load and the services: {', '.join(map(str, options.cores))}",
            *(f"{gateway.name}: {peers.version_of(gateway)}" for gateway in chosen)]


def summary(record):
    """A few words about one run, for the progress."""
    return f"{record['failed']:,} of {record['requests']:,} failed; {tables.verdict(FAULTS[record['fault']], record)}"


def run_steps(steps, runner, log):
    """Measures everything, printing each step before it and its result after it."""
    for position, (gateway, fault) in enumerate(steps, 1):
        bench.say(f"{position:3}/{len(steps)}  {gateway.name:10} {fault.name:9}", " ")
        record = {"kind": "run", "gateway": gateway.name, "fault": fault.name, "at": round(time.time())}
        try:
            record.update(runner.measure(gateway, fault))
            bench.say(summary(record))
        except (peers.PeerFailed, RuntimeError, OSError) as error:
            record["failed_because"] = textwrap.shorten(str(error), 240, placeholder=" …")
            bench.say(f"not measured: {record['failed_because']}")
        log.write(json.dumps(record) + "\n")
        log.flush()


def read_results(paths):
    """The lines about the machine, and the records, of one or more files."""
    lines, records = [], []
    for path in paths:
        with open(path) as file:
            for record in map(json.loads, file):
                if record["kind"] == "header":
                    lines += [line for line in record["lines"] if line not in lines]
                else:
                    records.append(record)
    return lines, records


def finish(options, paths):
    """Prints the report. The exit code is 1 if Gateward missed a bound or could not be measured."""
    lines, records = read_results(paths)
    text = tables.text(lines, records)
    bench.say(text)
    if options.markdown:
        with open(options.markdown, "w") as file:
            file.write(text)
    return 0 if records and all(map(tables.holds, records)) else 1


def measure(options):
    """Measures what was asked for, prints the report, and returns the exit code."""
    paths = compile_programs()
    chosen, missing = gateways.choose(options.peers, options.gateward, dict(options.program))
    for line in missing:
        bench.say(line)
    steps = []
    for gateway in chosen:
        for name in options.scenarios:
            if gateways.can(gateway, FAULTS[name]):
                steps.append((gateway, FAULTS[name]))
            else:
                bench.say(f"{gateway.name} takes no part in {name}")
    if not steps:
        sys.exit("resilience: there is nothing to measure")
    folder = os.path.join(OUTPUT, "run")
    os.makedirs(folder, exist_ok=True)
    os.makedirs(os.path.join(OUTPUT, "results"), exist_ok=True)
    out = options.out or os.path.join(OUTPUT, "results", time.strftime("%Y%m%d-%H%M%S.jsonl"))
    _held = bench.lock()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The core of the gateways is for them alone.
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {options.cores[0]})
    minutes = sum(fault.seconds + OVERHEAD_SECONDS for _gateway, fault in steps) / 60
    bench.say(f"{len(steps)} runs, about {minutes:.0f} min; raw results in {out}")
    interrupted = False
    with Processes() as processes, open(out, "w") as log:
        log.write(json.dumps({"kind": "header", "lines": header(options, chosen)}) + "\n")
        try:
            raise_priority()
            run_steps(steps, Runner(processes, paths, options.cores, folder), log)
        except KeyboardInterrupt:
            interrupted = True
            bench.say("\ninterrupted; this is what there is so far")
    code = finish(options, [out])
    return 130 if interrupted else code


def main():
    """Entry point."""
    options = read_options()
    if options.list:
        for fault in FAULTS.values():
            bench.say(f"{fault.name:9} {fault.title}")
        return 0
    if options.report:
        return finish(options, options.report)
    # Of SIGINT, too: a shell starts what it puts into the background with it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, bench.interrupt)
    try:
        return measure(options)
    except programs.NotCompiled as error:
        sys.exit(f"resilience: {error}")


if __name__ == "__main__":
    sys.exit(main())
