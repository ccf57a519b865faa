"""The board of a service: a file that this program and programs/service.c both have in memory.

Settings are written and counts are read without asking the service, so it does not matter whether it is
stopped or dead at that moment. A service that was started anew goes on where the one before it was killed.
"""
import mmap
import os
import struct

HEAD = struct.Struct("<Q4I")
WINDOW = struct.Struct("<I")
WINDOWS = 2000
WINDOW_SECONDS = 0.1
# Where each setting stands; in the order of `struct board`.
SETTINGS = {"slots": 8, "service_us": 12, "varying_permille": 16, "failing_permille": 20}


class Board:
    """One board. `settings` are those of `struct board`, by name."""

    def __init__(self, path, settings):
        size = HEAD.size + WINDOWS * WINDOW.size
        with open(path, "wb") as file:
            file.truncate(size)
        descriptor = os.open(path, os.O_RDWR)
        try:
            self.memory = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        # Counting begins with the load; what comes before it is no part of a measurement.
        self.begin(2**63)
        for name, value in settings.items():
            self.set(name, value)

    def set(self, name, value):
        """Changes a setting; it holds from the next request on."""
        struct.pack_into("<I", self.memory, SETTINGS[name], value)

    def begin(self, epoch):
        """Says when the first window begins, in nanoseconds of the monotonic clock."""
        struct.pack_into("<Q", self.memory, 0, epoch)

    def arrived(self):
        """How many requests have come, in each window of `WINDOW_SECONDS`."""
        return [arrived for arrived, in WINDOW.iter_unpack(self.memory[HEAD.size:])]
