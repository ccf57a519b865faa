"""Processes on chosen cores: started, watched through /proc, and stopped by their pid.

Every process is the leader of a session of its own. So its descendants are known for as long as they live,
and a Ctrl-C in the terminal reaches only this program, which then stops them in order.
"""
import ctypes
import os
import signal
import subprocess
import time
from dataclasses import dataclass

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 3
REALTIME_PRIORITY = 10
NICE = -15
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class CpuTime:
    """Processor seconds up to some moment. The split is counted in ticks, the total in nanoseconds."""

    total: float
    user_ticks: int
    system_ticks: int

    def since(self, before):
        """(user, system) seconds between two moments."""
        total = self.total - before.total
        user = self.user_ticks - before.user_ticks
        system = self.system_ticks - before.system_ticks
        share = user / (user + system) if user + system else 0
        return total * share, total * (1 - share)


class Process:
    """A started program with all its descendants."""

    def __init__(self, popen, log):
        self.popen = popen
        self.pid = popen.pid
        self.log = log

    def alive(self):
        """Whether the program itself still runs."""
        return self.popen.poll() is None

    def last_words(self):
        """The end of what it printed."""
        return self.words()[-400:]

    def first_words(self):
        """The beginning of what it printed, where a program says why it does not start."""
        return self.words()[:400]

    def words(self):
        """All that it printed, in one line."""
        with open(self.log, errors="replace") as file:
            return " ".join(file.read().split())

    def members(self):
        """The pids of its session: its own and those of its descendants."""
        pids = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            fields = stat_fields(name)
            if fields and int(fields[3]) == self.pid and fields[0] != "Z":
                pids.append(int(name))
        return pids

    def cpu_time(self):
        """What all its threads have used."""
        total = user = system = 0
        for pid in self.members():
            fields = stat_fields(pid)
            if fields:
                user += int(fields[11])
                system += int(fields[12])
            total += run_time(pid)
        if not total:  # a kernel without schedstat
            total = (user + system) / TICKS_PER_SECOND
        return CpuTime(total, user, system)

    def memory_kib(self):
        """Proportional set size: what it shares with others counts in part."""
        return sum(proportional_set_kib(pid) for pid in self.members())


class Processes:
    """Starts processes, and stops those that are left at the end of a `with` block."""

    def __init__(self):
        self.running = []
        self.realtime = may_use_realtime()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A second Ctrl-C must not leave processes behind.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        for process in reversed(self.running[:]):
            self.stop(process)
        for number, handler in before.items():
            signal.signal(number, handler)

    def start(self, command, core, log, folder, realtime=False):
        """Starts `command` (a list) on one core; its output goes to the file `log`."""

        def prepare():
            os.sched_setaffinity(0, {core})
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # in case this program is killed
            raise_priority()
            if realtime and self.realtime:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))

        with open(log, "wb") as output:
            popen = subprocess.Popen([str(part) for part in command], cwd=folder, stdin=subprocess.DEVNULL,
                                     stdout=output, stderr=output, start_new_session=True, preexec_fn=prepare)
        process = Process(popen, log)
        self.running.append(process)
        return process

    def run(self, command, core, folder, seconds, realtime=False):
        """Runs `command` to its end, which must come within `seconds`; returns what it printed."""
        log = os.path.join(folder, os.path.basename(command[0]) + ".log")
        process = self.start(command, core, log, folder, realtime)
        try:
            code = process.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{command[0]} did not end within {seconds:.0f} s") from None
        finally:
            self.stop(process)
        if code:
            reason = process.last_words() or f"exit code {code}"
            raise RuntimeError(f"{os.path.basename(command[0])}: {reason}")
        with open(log, errors="replace") as file:
            return file.read()

    def stop(self, process):
        """Asks the program to end, and ends what is left of it after a moment."""
        if process.alive():
            process.popen.terminate()
            try:
                process.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        for pid in process.members():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.popen.wait()
        if process in self.running:
            self.running.remove(process)

    def prefer(self, process, realtime):
        """Puts a process that has one thread into or out of the real-time class."""
        if not self.realtime:
            return
        policy, priority = (os.SCHED_FIFO, REALTIME_PRIORITY) if realtime else (os.SCHED_OTHER, 0)
        os.sched_setscheduler(process.pid, policy, os.sched_param(priority))


def stat_fields(pid):
    """The fields of /proc/PID/stat from the state on (the third), or nothing if the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()
    except OSError:
        return []


def run_time(pid):
    """Seconds that the threads of a process have run, to the nanosecond; 0 if the kernel does not say."""
    nanoseconds = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                nanoseconds += int(file.read().split()[0])
    except (OSError, IndexError):
        pass
    return nanoseconds / 1e9


def proportional_set_kib(pid):
    """`Pss` of a process in KiB; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0


def core_busy_seconds(core):
    """Seconds that a core was not idle, time that the host of a virtual machine took away included."""
    with open("/proc/stat") as file:
        for line in file:
            name, *fields = line.split()
            if name == f"cpu{core}":
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
                return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
    return 0.0


def raise_priority():
    """So that other work on the machine disturbs less. Needs root; without it nothing is changed."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        # Where the kernel groups sessions, a nice value counts inside its group only.
        with open("/proc/self/autogroup", "w") as file:
            file.write(str(NICE))
    except OSError:
        pass


def may_use_realtime():
    """Whether this user may put processes into the real-time class."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        return True
    except OSError:
        return False


def wait_until(condition, seconds):
    """Asks again and again; whether it became true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
