"""From figures to text: a table for each fault, the bounds of Gateward, and what makes figures doubtful.

The tables are Markdown whose columns are aligned, so they read well in a terminal too.
"""
import math

import figures
import report
from faults import FAULTS


def count(value):
    """A number of things."""
    return report.number(value)


def ms(value):
    """Milliseconds; a request that failed took for ever."""
    return "∞" if value is not None and math.isinf(value) else report.number(value, 1)


def seconds(value):
    """Seconds, or that it never happened."""
    return "never" if value is None else f"{value:.1f} s"


def share(value):
    """A share, exact enough for small ones."""
    return report.NOTHING if value is None else f"{value:.2%}"


def times(value):
    """A factor."""
    return report.NOTHING if value is None else f"{value:.1f} ×"


BEFORE = (("p50 before", "p50_before", ms), ("p99 before", "p99_before", ms))
COUNTS = (("requests", "requests", count), ("failed", "failed", count))
SINCE = (("failed since the fault", "failed_share", share),)
COMMON = (*COUNTS, *SINCE, *BEFORE, ("worst p99", "worst_p99", ms), ("over 1 s", "over_1s", count),
          ("p99 back after", "recovered_s", seconds), ("above in all", "above_s", seconds))
EJECTED = (("ejected after", "ejected_s", seconds), ("its share", "victim_share", share))
# Title, figure and form of each column.
COLUMNS = {
    "kill": COMMON,
    "stop": COMMON,
    "half_500": COMMON + EJECTED,
    "overload": (("offered/s", "offered", count), ("capacity/s", "capacity", count),
                 ("goodput/s", "goodput", count), ("of capacity", "goodput_share", share),
                 ("503", "rejected", count), ("failed else", "broken", count),
                 ("p99 before", "p99_before", ms), ("p50 accepted", "p50_accepted", ms),
                 ("p99 accepted", "p99_accepted", ms), ("p99 / before", "p99_ratio", times)),
    "slow": COUNTS + BEFORE + (("p50 during", "p50_during", ms), ("p99 during", "p99_during", ms)) + EJECTED,
    "flap": COUNTS + SINCE + BEFORE + (("p99 during", "p99_during", ms), ("worst p99", "worst_p99", ms)),
}
FORMS = {figure: form for columns in COLUMNS.values() for _title, figure, form in columns}


def verdict(fault, record):
    """`passes`, or which bounds were missed by what, or why nothing can be said."""
    if "failed_because" in record:
        return "not measured"
    if not fault.bounds:
        return "no bound"
    missed = [f"{bound.figure} {FORMS[bound.figure](value)}, not {'≥' if bound.at_least else '≤'} "
              f"{FORMS[bound.figure](bound.limit)}" for bound, value in figures.missed(fault, record)]
    text = f"FAILS: {'; '.join(missed)}" if missed else "passes"
    return text + ("; doubtful" if figures.doubts(record) else "")


def section(fault, records):
    """What all gateways did under one fault."""
    columns = COLUMNS[fault.name]
    measured = [record for record in records if "failed_because" not in record]
    rows = [[record["gateway"], *(form(record.get(figure)) for _title, figure, form in columns),
             verdict(fault, record)] for record in measured]
    lines = [f"\n## {fault.name}: {fault.title}\n"]
    if rows:
        lines += [report.table(["peer", *(title for title, _figure, _form in columns), "verdict"], rows), ""]
    for record in records:
        if "failed_because" in record:
            lines.append(f"- {record['gateway']}: not measured: {record['failed_because']}")
        elif figures.doubts(record):
            lines.append(f"- {record['gateway']}: doubtful: {figures.doubts(record)}")
    for record in measured:
        if record["outcomes"]:
            ways = ", ".join(f"{count(number)} × {outcome}" for outcome, number in record["outcomes"].items())
            lines.append(f"- {record['gateway']}: what failed: {ways}")
    return "\n".join(lines)


def bounds_section(records):
    """Every fault with bounds that a build of Gateward was asked to bear."""
    rows = [[FAULTS[record["fault"]].name, record["gateway"], verdict(FAULTS[record["fault"]], record)]
            for record in records if is_gateward(record) and FAULTS[record["fault"]].bounds]
    return f"\n## Bounds of Gateward\n\n{report.table(['scenario', 'peer', 'verdict'], rows)}" if rows else ""


def is_gateward(record):
    """Whether a record is of a build of Gateward."""
    return record["gateway"].startswith("gateward")


def holds(record):
    """Whether nothing is to be said against a run of Gateward; of others nothing is asked."""
    return not is_gateward(record) or verdict(FAULTS[record["fault"]], record) in ("passes", "no bound")


def text(header, records):
    """Everything, of one run or of several; of what was measured more than once the last one counts."""
    last = {(record["fault"], record["gateway"]): record for record in records}
    lines = ["# When services fail\n", *(f"- {line}" for line in header), "- latencies in milliseconds; ∞: failed"]
    for name, fault in FAULTS.items():
        of_fault = [record for (fault_name, _gateway), record in last.items() if fault_name == name]
        if of_fault:
            lines.append(section(fault, of_fault))
    lines.append(bounds_section(list(last.values())))
    return "\n".join(lines) + "\n"
