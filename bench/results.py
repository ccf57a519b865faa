"""Raw results, read back: the figures of each scenario and peer, round by round, and how they compare."""
import json
import statistics
from collections import defaultdict


class Results:
    """The points of one or several runs. `one` and `other` are pairs of a scenario and a peer."""

    def __init__(self, paths):
        self.runs, self.failures = [], []
        self.points = defaultdict(lambda: defaultdict(dict))
        for number, path in enumerate(paths):
            with open(path) as file:
                for line in file:
                    self.take(number, json.loads(line))

    def take(self, run, record):
        """Adds one line of a file. Rounds of different files are different rounds."""
        if record["kind"] == "run":
            self.runs.append(record)
        elif "failed" in record:
            self.failures.append(record)
        else:
            self.points[record["scenario"]][record["peer"]][run, record["round"]] = record

    def peers(self, scenario):
        """In the order in which they were measured."""
        return list(self.points.get(scenario, ()))

    def rounds(self, scenario, peer):
        """Round: record."""
        return self.points.get(scenario, {}).get(peer, {})

    def values(self, scenario, peer, figure):
        """One figure in all rounds."""
        return [record[figure] for record in self.rounds(scenario, peer).values() if figure in record]

    def median(self, scenario, peer, figure):
        """The median of the rounds, or nothing if it was not measured."""
        values = self.values(scenario, peer, figure)
        return statistics.median(values) if values else None

    def spread(self, scenario, peer, figure):
        """Between the lowest and the highest round, as a share of the median."""
        values = self.values(scenario, peer, figure)
        return (max(values) - min(values)) / statistics.median(values)

    def pairs(self, one, other, figure):
        """The figures of both in the rounds that both have."""
        mine, theirs = self.rounds(*one), self.rounds(*other)
        return [(mine[key][figure], theirs[key][figure]) for key in mine if key in theirs]

    def ratios(self, one, other, figure):
        """(median of the ratios of each round, ratio of the medians), or (None, None)."""
        pairs = self.pairs(one, other, figure)
        if not pairs:
            return None, None
        per_round = statistics.median(mine / theirs for mine, theirs in pairs)
        return per_round, self.median(*one, figure) / self.median(*other, figure)

    def difference(self, one, other, figure):
        """The median of the differences of each round, or nothing."""
        pairs = self.pairs(one, other, figure)
        return statistics.median(mine - theirs for mine, theirs in pairs) if pairs else None
