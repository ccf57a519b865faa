"""From results to text: a table for each scenario, the bounds, and what makes the figures doubtful."""
import bounds
from results import Results
from scenarios import LATENCY, MEMORY, SCENARIOS, THROUGHPUT

REFERENCE = "nginx"
NOISY_SPREAD = 0.10
NOISY_OTHERS = 0.05
NOTHING = "–"
# Columns of words; all others hold figures.
LEFT = ("peer", "scenario", "bound", "verdict")


def number(value, digits=0):
    """A figure for a cell."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def percent(share):
    """A share for a cell."""
    return NOTHING if share is None else f"{share:.0%}"


def table(head, rows):
    """A Markdown table whose columns are aligned, so that it reads well in a terminal too."""
    widths = [max(map(len, column)) for column in zip(head, *rows)]

    def line(cells):
        padded = [cell.ljust(width) if title in LEFT else cell.rjust(width)
                  for title, cell, width in zip(head, cells, widths)]
        return "| " + " | ".join(padded) + " |"

    rules = ["-" * (width + 2) if title in LEFT else "-" * (width + 1) + ":"
             for title, width in zip(head, widths)]
    return "\n".join([line(head), "|" + "|".join(rules) + "|", *map(line, rows)])


def ratio_columns(results, scenario):
    """Whom the others are compared with: nginx, whom a bound names, and Gateward if there are two builds."""
    measured = results.peers(scenario)
    named = [bound.versus for bound in bounds.BOUNDS if bound.scenario == scenario and bound.kind == bounds.RATIO]
    references = {name: name for name in (REFERENCE, *named)} | {"gateward": "gateward2"}
    return [reference for reference, needed in references.items() if {reference, needed} <= set(measured)]


def throughput_table(results, scenario):
    """Requests per second and what each costs."""
    references = ratio_columns(results, scenario)
    head = ["peer", "requests/s", "µs/request", "user", "system", "core busy", "spread", "rounds"]
    for reference in references:
        head += [f"× {reference} per round", "of medians"]
    rows = []
    for peer in results.peers(scenario):
        median = lambda figure: results.median(scenario, peer, figure)
        row = [peer, number(median("rps")), number(median("us"), 2), number(median("user_us"), 2),
               number(median("system_us"), 2), percent(median("busy")),
               percent(results.spread(scenario, peer, "us")), str(len(results.rounds(scenario, peer)))]
        for reference in references:
            ratios = results.ratios((scenario, peer), (scenario, reference), "us")
            row += [number(ratio, 3) for ratio in ratios]
        rows.append(row)
    return table(head, rows)


def latency_table(results, scenario):
    """Percentiles, and what each adds to a direct connection in the same round."""
    head = ["peer", "p50 µs", "p99 µs", "p99.9 µs", "added p50", "added p99", "spread of p99", "rounds"]
    rows = []
    for peer in results.peers(scenario):
        row = [peer]
        row += [number(results.median(scenario, peer, figure)) for figure in ("p50", "p99", "p999")]
        for figure in ("p50", "p99"):
            row.append(number(results.difference((scenario, peer), (scenario, "direct"), figure)))
        row += [percent(results.spread(scenario, peer, "p99")), str(len(results.rounds(scenario, peer)))]
        rows.append(row)
    return table(head, rows)


def memory_table(results, scenario):
    """Proportional set sizes."""
    head = ["peer", "after start MiB", "with connections MiB", "KiB/connection", "connections"]
    rows = []
    for peer in results.peers(scenario):
        median = lambda figure: results.median(scenario, peer, figure)
        rows.append([peer, number(median("start_mib"), 1), number(median("full_mib"), 1),
                     number(median("connection_kib"), 2), number(median("connections"))])
    return table(head, rows)


TABLES = {THROUGHPUT: throughput_table, LATENCY: latency_table, MEMORY: memory_table}
# Of each figure that has a bound: its unit, and how many digits it is given with.
UNITS = {"us": ("µs", 2), "p99": ("µs", 0), "start_mib": ("MiB", 1), "connection_kib": ("KiB", 2)}


def bound_row(results, bound):
    """What Gateward has, what it is compared with, how the two compare, and the verdict."""
    one, other = (bound.scenario, "gateward"), (bound.other_scenario, bound.versus)
    unit, digits = UNITS[bound.figure]
    value = results.median(*one, bound.figure)
    with_unit = lambda figure: NOTHING if figure is None else f"{number(figure, digits)} {unit}"
    cells = [bound.scenario, with_unit(value)]
    if bound.kind == bounds.ABSOLUTE:
        return [*cells, NOTHING, NOTHING, NOTHING, bound.text(), bounds.verdict(bound, value)]
    cells.append(with_unit(results.median(*other, bound.figure)))
    if bound.kind == bounds.DIFFERENCE:
        value = results.difference(one, other, bound.figure)
        return [*cells, with_unit(value), NOTHING, bound.text(), bounds.verdict(bound, value)]
    per_round, of_medians = results.ratios(one, other, bound.figure)
    verdict = bounds.verdict(bound, per_round, of_medians)
    if any(map(missing_log_lines, results.rounds(*one).values())):
        verdict += "; but its access log is incomplete"
    return [*cells, number(per_round, 3), number(of_medians, 3), bound.text(), verdict]


def bounds_table(results):
    """Every bound whose scenario was measured, with the verdict."""
    rows = [bound_row(results, bound) for bound in bounds.BOUNDS
            if "gateward" in results.peers(bound.scenario)]
    head = ["scenario", "Gateward", "compared with", "per round", "of medians", "bound", "verdict"]
    return f"\n## Bounds\n\n{table(head, rows)}" if rows else ""


def noise(results):
    """Lines about what makes figures doubtful."""
    lines = []
    for scenario in filter(results.peers, SCENARIOS):
        figure = {THROUGHPUT: "us", LATENCY: "p99"}.get(SCENARIOS[scenario].kind)
        differing, disturbed = [], []
        for peer in results.peers(scenario) if figure else ():
            spread = results.spread(scenario, peer, figure)
            if spread > NOISY_SPREAD:
                differing.append(f"{peer} {percent(spread)}")
            others = max(results.values(scenario, peer, "others"), default=0)
            if others > NOISY_OTHERS:
                disturbed.append(f"{peer} {percent(others)}")
        if differing:
            lines.append(f"{scenario}: the rounds differ: {', '.join(differing)}")
        if disturbed:
            lines.append(f"{scenario}: something else used the core in a round: {', '.join(disturbed)}")
    return lines


def missing_log_lines(record):
    """How many requests of a round are not in the access log that should hold them."""
    return max(0, record["all_requests"] - record["log_lines"]) if "log_lines" in record else 0


def incomplete_logs(results):
    """Lines about access logs that do not hold every request: then the work was not done."""
    lines = []
    for scenario in filter(results.peers, SCENARIOS):
        for peer in results.peers(scenario):
            for record in results.rounds(scenario, peer).values():
                missing = missing_log_lines(record)
                if missing:
                    lines.append(f"{scenario}, {peer}, round {record['round'] + 1}: {missing:,} of "
                                 f"{record['all_requests']:,} requests are not in the access log")
    return lines


def failures(results):
    """Lines about what could not be measured."""
    return [f"{point['scenario']}, {point['peer']}, round {point['round'] + 1}: {point['failed']}"
            for point in results.failures]


def describe(run):
    """Lines about what was measured, and on what."""
    machine = run["machine"]
    return [f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}",
            f"rounds: {run['rounds']} of {run['seconds']:g} s",
            f"cores of the peer, the load and the origin: {run['cores']}",
            f"load average before: {run['load_average']:.2f}",
            *(f"{name}: {version}" for name, version in run["versions"].items())]


def section(title, lines):
    """A heading and a list, or nothing without entries."""
    return f"\n## {title}\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def report(paths):
    """The whole report as text."""
    results = Results(paths)
    parts = [section("Measured", [line for run in results.runs for line in describe(run)])]
    for name in filter(results.peers, SCENARIOS):
        scenario = SCENARIOS[name]
        parts.append(f"\n### {name}: {scenario.title}\n\n{TABLES[scenario.kind](results, name)}")
    parts.append(bounds_table(results))
    parts.append(section("Not measured", failures(results)))
    parts.append(section("Incomplete access logs", incomplete_logs(results)))
    parts.append(section("Noise", noise(results)))
    return "\n".join(filter(None, parts)) + "\n"
