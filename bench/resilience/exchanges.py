"""What programs/arrivals.c has written down about each request, and what follows from it.

A failed request counts as one that took for ever: who answers quickly that it failed is not quick.
"""
import math
import struct
from typing import NamedTuple

RECORD = struct.Struct("<4i")
REASONS = {-1: "connection refused", -2: "connection closed", -3: "client gave up", -4: "no valid reply",
           -5: "no connection left"}
OK, REJECTED = 200, 503
# A request that the load begins later than this after it was due was not held up by a gateway, but by the machine.
LATE_MS = 5
# Requests that were due so long before that were under way, and may have been held up as well.
HELD_UP_SECONDS = 0.05


class Exchange(NamedTuple):
    """One request. Times are microseconds since the load began; `outcome` is a status or a key of REASONS."""

    due: int
    begun: int
    ended: int
    outcome: int

    @property
    def ok(self):
        """Whether it was served."""
        return self.outcome == OK

    @property
    def ms(self):
        """From when it was due to its last byte, in milliseconds; infinite if it failed."""
        return (self.ended - self.due) / 1000 if self.ok else math.inf


def read(path):
    """All requests in a file, in the order in which they were due."""
    with open(path, "rb") as file:
        return list(map(Exchange._make, RECORD.iter_unpack(file.read())))


def due_between(exchanges, begin, end):
    """Those that were due in that time, in seconds."""
    return [exchange for exchange in exchanges if begin * 1e6 <= exchange.due < end * 1e6]


def percentile(values, share):
    """The smallest value that so many of all do not exceed (nearest rank); nothing without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def latency(exchanges, share):
    """A percentile of their latency in milliseconds."""
    return percentile([exchange.ms for exchange in exchanges], share)


def window_latencies(exchanges, begin, end, width, share):
    """A percentile for each whole window of `width` seconds between two moments, by when requests were due.

    Nothing stands for a window in which nothing was due, and for one that says nothing about a gateway because the
    load itself was late in it, or just after it, when it held up what was under way.
    """
    begin, end, width, spread = (round(seconds * 1e6) for seconds in (begin, end, width, HELD_UP_SECONDS))
    windows = [[] for _ in range((end - begin) // width)]
    disturbed = set()
    for exchange in exchanges:
        since = exchange.due - begin
        if 0 <= since < len(windows) * width:
            windows[since // width].append(exchange.ms)
        if exchange.begun - exchange.due > LATE_MS * 1000:
            disturbed.update((since // width, (since - spread) // width))
    return [None if number in disturbed else percentile(window, share) for number, window in enumerate(windows)]


def settles_at(values, limit, hold):
    """The first position from which on so many values in a row do not exceed the limit, or nothing.

    What is nothing says nothing: it neither counts nor ends a row.
    """
    row = []
    for position, value in enumerate(values):
        if value is not None:
            row = [*row, position] if value <= limit else []
        if len(row) == hold:
            return row[0]
    return None


def settles_for_good_at(values, limit, hold, relapse, exceptions):
    """As `settles_at`, and afterwards fewer than `relapse` values in a row exceed the limit, and no more than that
    share of all.

    Exceptions are for the noise of a machine, which does not last; what a gateway does wrong again does.
    """
    above = [value is not None and value > limit for value in values]
    first = max((end for end in range(relapse, len(above) + 1) if all(above[end - relapse:end])), default=0)
    for position in range(first, len(values)):
        if (values[position] is not None and not above[position]
                and settles_at(values[position:], limit, hold) == 0
                and sum(above[position:]) <= exceptions * (len(above) - position)):
            return position
    return None


def outcomes(exchanges):
    """How often requests failed, and how: {status or reason: times}, the most frequent first."""
    counts = {}
    for exchange in exchanges:
        if not exchange.ok:
            name = REASONS.get(exchange.outcome, str(exchange.outcome))
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
