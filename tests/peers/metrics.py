"""Reads a page of metrics from its input with PyPI's prometheus_client, and prints each sample as JSON.

Ends with 1 if a series is there twice, a family is not described, a counter is negative, or the buckets of a
histogram do not add up.
"""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

seen = set()


def check_histogram(family):
    by_labels = {}
    for sample in family.samples:
        labels = tuple(sorted((key, value) for key, value in sample.labels.items() if key != "le"))
        by_labels.setdefault(labels, []).append(sample)
    for labels, samples in by_labels.items():
        buckets = [(float(s.labels["le"]), s.value) for s in samples if s.name.endswith("_bucket")]
        count, total = ([s.value for s in samples if s.name.endswith(end)] for end in ("_count", "_sum"))
        bounds, counts = zip(*buckets)
        assert list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf"), (family.name, labels, bounds)
        assert list(counts) == sorted(counts), (family.name, labels, "buckets are not cumulative", counts)
        assert count == [counts[-1]] and len(total) == 1, (family.name, labels, count, total)
        assert total[0] >= 0 and (count[0] > 0 or total[0] == 0), (family.name, labels, count, total)


for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
    if family.type == "histogram":
        check_histogram(family)
    for sample in family.samples:
        series = (sample.name, *sorted(sample.labels.items()))
        assert series not in seen, ("twice", series)
        seen.add(series)
        assert family.type == "gauge" or sample.value >= 0, (series, sample.value)
        print(json.dumps([sample.name, sorted(sample.labels.items()), sample.value]))
