"""One run: services, a gateway in front of them, a load, and the fault at its time."""
import os
import shutil
import time

import clients
import exchanges
import faults
import figures
import gateways
import peers
from services import Services

CONNECTIONS = 256
# Between the start of the load and its first request: it opens its connections first.
LEAD_SECONDS = 0.5
SPARE_SECONDS = 10


class Runner:
    """What every run needs: processes, programs, cores, a folder."""

    def __init__(self, processes, programs, cores, folder):
        self.processes = processes
        self.programs = programs
        self.gateway_core, self.load_core, self.service_core = cores
        self.folder = folder

    def measure(self, gateway, fault):
        """The figures of one gateway under one fault. Nothing of it runs any more afterwards."""
        folder = os.path.join(self.folder, "services")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        services = Services(self.processes, self.programs["service"], self.service_core, folder,
                            fault.endpoints, fault.settings.of_board())
        try:
            discovery = os.path.join(folder, "endpoints.json")
            services.publish = gateways.publisher(gateway, discovery)
            services.publish(services.ports)
            values = {f"origin{number}": port for number, port in enumerate(services.ports)}
            process, port = peers.start(gateway, fault, self.processes, self.gateway_core,
                                        {**values, "discovery": discovery},
                                        os.path.join(self.folder, gateway.name), clients.plain, realtime=True)
            try:
                began = self.run(port, fault, services)
                if not process.alive():
                    raise peers.PeerFailed(f"{gateway.name} has ended: {process.last_words()}")
            finally:
                self.processes.stop(process)
            arrived = [endpoint.board.arrived() for endpoint in services.endpoints]
            return figures.figures_of(fault, exchanges.read(self.records), arrived, began)
        finally:
            services.stop()

    @property
    def records(self):
        """Where the load writes down what became of its requests."""
        return os.path.join(self.folder, "records")

    def run(self, port, fault, services):
        """Runs the load and, at their times, the actions. Returns when the first of them was done, in seconds."""
        epoch = time.monotonic_ns() + round(LEAD_SECONDS * 1e9)
        services.begin(epoch)
        phases = ",".join(f"{rate}:{seconds}" for rate, seconds in fault.phases)
        command = [self.programs["arrivals"], port, epoch, phases, faults.PATIENCE_SECONDS * 1000, CONNECTIONS,
                   self.records]
        load = self.processes.start(command, self.load_core, os.path.join(self.folder, "arrivals.log"),
                                    self.folder, realtime=True)
        try:
            began = self.act(epoch, fault, services, load)
            limit = fault.seconds + faults.PATIENCE_SECONDS + SPARE_SECONDS
            load.popen.wait(max(1, limit - (time.monotonic_ns() - epoch) / 1e9))
            if load.popen.returncode:
                raise RuntimeError(f"the load failed: {load.last_words()}")
        finally:
            self.processes.stop(load)
        return began

    @staticmethod
    def act(epoch, fault, services, load):
        """Does each action of a fault when it is due. Returns when the first was done."""
        began = None
        for at, method, arguments in fault.actions:
            while (wait := epoch / 1e9 + at - time.monotonic()) > 0:
                if not load.alive():
                    raise RuntimeError(f"the load ended too early: {load.last_words()}")
                time.sleep(min(wait, 1))
            if began is None:
                began = (time.monotonic_ns() - epoch) / 1e9
            getattr(services, method)(*arguments)
        return fault.begin if began is None else began
