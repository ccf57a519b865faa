"""The programs in programs/: compiled when they are older than their source, and only those that are needed."""
import os
import subprocess
from dataclasses import dataclass

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")


@dataclass(frozen=True)
class Program:
    """One source can make several programs; `install` names what it needs beside a compiler."""

    source: str
    options: tuple = ()
    install: str = ""


TLS = ("-DTLS", "-lssl", "-lcrypto")
PROGRAMS = {
    "load": Program("load.c"),
    "load_tls": Program("load.c", TLS, "the Debian package libssl-dev"),
    "load_h2": Program("load_h2.c", ("-lnghttp2",), "the Debian package libnghttp2-dev"),
    "load_h2_tls": Program("load_h2.c", ("-lnghttp2", *TLS), "the Debian packages libnghttp2-dev and libssl-dev"),
    "tokens": Program("tokens.c", ("-lcrypto",), "the Debian package libssl-dev"),
    "pace": Program("pace.c"),
    "origin": Program("origin.c"),
    "origin_grpc": Program("origin_grpc.c"),
    "floor": Program("floor.c"),
    # Of the benchmark in resilience/.
    "arrivals": Program("../resilience/programs/arrivals.c"),
    "service": Program("../resilience/programs/service.c", ("-lm",)),
}


class NotCompiled(Exception):
    """A program could not be made; the text says what may be missing."""


def compile_program(name, folder):
    """The path of a program in `folder`, compiled anew if a source is newer."""
    program, path = PROGRAMS[name], os.path.join(folder, name)
    source = os.path.join(SOURCES, program.source)
    headers = [os.path.join(SOURCES, file) for file in os.listdir(SOURCES) if file.endswith(".h")]
    if os.path.exists(path) and os.path.getmtime(path) > max(map(os.path.getmtime, [source, *headers])):
        return path
    command = [os.environ.get("CC", "gcc"), "-O2", "-Wall", "-Wextra", "-o", path, source, *program.options]
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError as error:
        raise NotCompiled(f"{name} could not be compiled: {error}") from None
    if result.returncode:
        first_error = next((line for line in result.stdout.splitlines() if "error" in line), result.stdout[:200])
        needs = f"; it needs {program.install}" if program.install else ""
        raise NotCompiled(f"{name} could not be compiled{needs}: {first_error}")
    return path


def compile_needed(scenarios, folder):
    """Compiles what the scenarios need. Returns ({name: path}, {name: why it is not there})."""
    os.makedirs(folder, exist_ok=True)
    needed = {"pace", "floor"}.union(*({scenario.load, scenario.origin} for scenario in scenarios))
    if any(scenario.signed for scenario in scenarios):
        needed.add("tokens")
    paths, missing = {}, {}
    for name in sorted(needed):
        try:
            paths[name] = compile_program(name, folder)
        except NotCompiled as error:
            missing[name] = str(error)
    return paths, missing
