"""From one run to its figures, and from figures to a verdict. Pure: requests and counts are passed in.

Figures that do not exist are left out: a p99 that never came back has no time until it did.
"""
import math

import exchanges as x
from board import WINDOW_SECONDS as COUNTING_SECONDS
from faults import VICTIM, WARM_UP_SECONDS

# Short enough to see a stall, long enough that the 99th percentile of 2,000/s is not its slowest request.
WINDOW_SECONDS = 0.2
# A percentile is back, or an endpoint out, when it stays so for a second.
HOLD_WINDOWS = 5
# A percentile that is back may exceed its limit in so many windows, because the machine does other things as well,
# but not in as many in a row.
EXCEPTIONS = 0.05
RELAPSE_WINDOWS = 3
BACK_FACTOR = 2
# A share of requests that is as good as none.
EJECTED_SHARE = 0.03
# Of the windows of a run, so many may be lost because the load itself was late.
DISTURBED_SHARE = 0.15


def figures_of(fault, exchanges, arrived, began):
    """All figures of a run. `arrived` are the counts of each endpoint, `began` when the fault really began."""
    calm = x.due_between(exchanges, WARM_UP_SECONDS, fault.begin)
    # Those that were under way when the fault began belong to it too.
    since = [exchange for exchange in exchanges if exchange.ended >= began * 1e6]
    during = x.due_between(exchanges, began, fault.end)
    figures = {
        "requests": len(exchanges), "failed": failures(exchanges), "outcomes": x.outcomes(exchanges),
        "failed_before": failures(calm) - failures([exchange for exchange in calm if exchange.ended >= began * 1e6]),
        "failed_share": failures(since) / max(1, len(since)),
        "over_1s": sum(exchange.ms > 1000 for exchange in since),
        "p50_before": x.latency(calm, 0.50), "p99_before": x.latency(calm, 0.99),
        "p50_during": x.latency(during, 0.50), "p99_during": x.latency(during, 0.99),
        "late_p99": x.percentile([(exchange.begun - exchange.due) / 1000 for exchange in exchanges], 0.99),
    }
    figures.update(recovery(fault, exchanges, began, figures["p99_before"]))
    if fault.name == "overload":
        figures.update(goodput(fault, exchanges, figures["p99_before"]))
    elif fault.endpoints == 3:
        figures.update(ejection(fault, arrived, began))
    return {name: value for name, value in figures.items() if value is not None}


def failures(exchanges):
    """How many were not served."""
    return sum(not exchange.ok for exchange in exchanges)


def recovery(fault, exchanges, began, before):
    """When the 99th percentile of the windows is back below twice the normal, and what it was at its worst.

    Whether it is back is judged until the fault ends: that an endpoint returns is another event, which may be felt
    for a moment as well. The worst and the sum go on to the end of the load.
    """
    windows = x.window_latencies(exchanges, began, fault.seconds, WINDOW_SECONDS, 0.99)
    limit = BACK_FACTOR * before
    # Without the last one: its requests may still be under way when the endpoint returns.
    lasting = windows[:round((fault.end - began) / WINDOW_SECONDS) - 1]
    back = x.settles_for_good_at(lasting, limit, HOLD_WINDOWS, RELAPSE_WINDOWS, EXCEPTIONS)
    above = [value for value in windows if value is not None and value > limit]
    return {"worst_p99": max((value for value in windows if value is not None), default=None),
            "recovered_s": None if back is None else back * WINDOW_SECONDS, "above_s": len(above) * WINDOW_SECONDS,
            "disturbed": windows.count(None) / len(windows)}


def ejection(fault, arrived, began):
    """The share of requests that the victim got, and when it got next to none any more. Counted at the services,
    because what a gateway repeats elsewhere is not seen by clients."""
    first = math.ceil(began / COUNTING_SECONDS - 1e-9)
    last = int(fault.end / COUNTING_SECONDS + 1e-9)
    step = round(WINDOW_SECONDS / COUNTING_SECONDS)
    shares = []
    for begin in range(first, last - step + 1, step):
        everyone = sum(sum(counts[begin:begin + step]) for counts in arrived)
        shares.append(sum(arrived[VICTIM][begin:begin + step]) / everyone if everyone else None)
    out = x.settles_at(shares, EJECTED_SHARE, HOLD_WINDOWS)
    everyone = sum(sum(counts[first:last]) for counts in arrived)
    return {"ejected_s": None if out is None else first * COUNTING_SECONDS - began + out * WINDOW_SECONDS,
            "victim_share": sum(arrived[VICTIM][first:last]) / everyone if everyone else None}


def goodput(fault, exchanges, before):
    """What was served while far more was asked for, and how quickly. What was answered after the end does not
    count, or a line that grows would count as throughput."""
    asked = x.due_between(exchanges, fault.begin, fault.end)
    served = sum(exchange.ok and exchange.ended < fault.end * 1e6 for exchange in asked)
    accepted = [exchange for exchange in asked if exchange.ok]
    p99 = x.latency(accepted, 0.99)
    rejected = sum(exchange.outcome == x.REJECTED for exchange in asked)
    per_second = served / (fault.end - fault.begin)
    return {"capacity": fault.capacity, "offered": len(asked) / (fault.end - fault.begin), "goodput": per_second,
            "goodput_share": per_second / fault.capacity, "rejected": rejected,
            "broken": failures(asked) - rejected,
            "p50_accepted": x.latency(accepted, 0.50), "p99_accepted": p99,
            "p99_ratio": p99 / before if p99 is not None and before else None}


def missed(fault, figures):
    """The bounds of a fault that do not hold: (bound, what it is instead, or nothing)."""
    broken = []
    for bound in fault.bounds:
        value = figures.get(bound.figure)
        # Written so that a figure that is not a number misses its bound too.
        holds = value is not None and (value >= bound.limit if bound.at_least else value <= bound.limit)
        if not holds:
            broken.append((bound, value))
    return broken


def doubts(figures):
    """Why a run should not be believed, or nothing."""
    if figures["failed_before"]:
        return f"{figures['failed_before']} requests failed before anything was wrong"
    if figures["late_p99"] > x.LATE_MS or figures["disturbed"] > DISTURBED_SHARE:
        return (f"the load itself was late (p99 {figures['late_p99']:.1f} ms, in {figures['disturbed']:.0%} of the "
                "windows): the machine was too busy")
    return ""
