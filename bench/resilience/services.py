"""The services behind a gateway: a process for each endpoint, so that each can fail alone."""
import os
import random
import signal
from dataclasses import dataclass

import clients
import peers
from board import Board
from processes import wait_until


@dataclass
class Endpoint:
    """One process; the port and the board stay when it is started anew."""

    port: int
    board: Board
    board_path: str
    log: str
    process: object = None


class Services:
    """Endpoints that can be made to fail; `Fault.actions` calls the methods that say how."""

    def __init__(self, processes, program, core, folder, count, settings):
        self.processes, self.program, self.core, self.folder = processes, program, core, folder
        self.settings = settings
        # Endpoints that come and go do so alike in each run.
        self.random = random.Random(20261126)
        self.publish = None
        self.endpoints = []
        for number in range(count):
            path = os.path.join(folder, f"board{number}")
            log = os.path.join(folder, f"service{number}.log")
            self.endpoints.append(Endpoint(peers.free_port(), Board(path, settings), path, log))
            self.start(number)
        for endpoint in self.endpoints:
            if not wait_until(lambda: clients.accepts(endpoint.port), peers.START_SECONDS):
                raise RuntimeError(f"a service did not start: {endpoint.process.last_words()}")

    @property
    def ports(self):
        """Where the endpoints are."""
        return [endpoint.port for endpoint in self.endpoints]

    def start(self, number):
        """Starts an endpoint, for the first time or anew."""
        endpoint = self.endpoints[number]
        endpoint.process = self.processes.start([self.program, endpoint.port, endpoint.board_path], self.core,
                                                endpoint.log, self.folder, realtime=True)

    def kill(self, number):
        """Ends an endpoint at once: its connections are reset or closed, new ones are refused."""
        process = self.endpoints[number].process
        process.popen.kill()
        self.processes.stop(process)

    def suspend(self, number):
        """Stops an endpoint: the system goes on to accept connections for it, and nothing answers."""
        os.kill(self.endpoints[number].process.pid, signal.SIGSTOP)

    def resume(self, number):
        """Lets a stopped endpoint go on."""
        os.kill(self.endpoints[number].process.pid, signal.SIGCONT)

    def fail(self, number, permille):
        """Makes an endpoint answer that many requests with a 500."""
        self.endpoints[number].board.set("failing_permille", permille)

    def slow_down(self, number, factor):
        """Makes each request to an endpoint take that many times as long."""
        self.endpoints[number].board.set("service_us", self.settings["service_us"] * factor)

    def reshuffle(self, least):
        """Publishes some of the endpoints, at least that many. The others still run, so none of the requests
        that they have, or still get for a moment, need be lost."""
        count = self.random.randint(least, len(self.endpoints))
        self.publish(self.random.sample(self.ports, count))

    def begin(self, epoch):
        """Says when the load begins, for the counts."""
        for endpoint in self.endpoints:
            endpoint.board.begin(epoch)

    def stop(self):
        """Ends all of them."""
        for endpoint in self.endpoints:
            # A stopped process would not hear that it is to end. SIGKILL needs no answer, and nothing is lost.
            endpoint.process.popen.kill()
            self.processes.stop(endpoint.process)
            endpoint.board.memory.close()
