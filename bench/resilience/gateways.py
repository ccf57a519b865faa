"""The gateways: the peers of the benchmark, with the configurations of conf/.

Peers have what an experienced operator would switch on, Gateward its defaults. See README.md.
"""
import json
import os
import re
from dataclasses import replace

import peers

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "envoy": "envoy.yaml", "gateward": "gateward.yaml"}
DEFAULT_BUILD = os.path.join(peers.ROOT, "target", "fast", "gateward")


def kind(gateway):
    """`gateward` of `gateward2`: what it is, when several builds are measured."""
    return re.sub(r"\d+$", "", gateway.name)


def choose(names, builds, programs):
    """The gateways that were asked for and are there, and a line about each of the others."""
    if not builds and peers.executable(DEFAULT_BUILD):
        builds = [DEFAULT_BUILD]
    chosen, missing = peers.choose_peers(names, builds, programs)
    configured = []
    for gateway in chosen:
        name = FILES[kind(gateway)]
        configured.append(replace(gateway, files={name: os.path.join(HERE, "conf", name)}))
    return configured, missing


def can(gateway, fault):
    """Whether a gateway takes part."""
    return not fault.gateways or kind(gateway) in fault.gateways


def discovery_text(gateway, ports):
    """A file of endpoints, as a gateway reads it."""
    if kind(gateway) == "envoy":
        endpoints = [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
                     for port in ports]
        assignment = {"@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
                      "cluster_name": "app", "endpoints": [{"lb_endpoints": endpoints}]}
        return json.dumps({"resources": [assignment]})
    return "".join(f"- 127.0.0.1:{port}\n" for port in ports)


def publisher(gateway, path):
    """What takes a list of ports and writes the file of endpoints, by rename, so that none is read half written."""
    def publish(ports):
        with open(path + ".new", "w") as file:
            file.write(discovery_text(gateway, ports))
        os.rename(path + ".new", path)
    return publish
