"""Tests of what turns figures into judgements: `python3 -m unittest discover bench`."""
import json
import os
import tempfile
import unittest

import bench
import bounds
import peers
import report
import templates
from results import Results
from scenarios import SCENARIOS


def results_of(*points):
    """Results of (scenario, peer, round, figures)."""
    results = Results([])
    for scenario, peer, round_number, figures in points:
        figures = {"rps": 1, "user_us": 1, "system_us": 1, "busy": 1, **figures}
        place = {"scenario": scenario, "peer": peer, "round": round_number}
        results.take(0, {"kind": "point", **place, **figures})
    return results


class Ratios(unittest.TestCase):
    def test_rounds_are_paired_and_missing_ones_left_out(self):
        results = results_of(("a", "nginx", 0, {"us": 10}), ("a", "nginx", 1, {"us": 20}),
                             ("a", "nginx", 2, {"us": 40}),
                             ("a", "gateward", 0, {"us": 8}), ("a", "gateward", 2, {"us": 20}))
        per_round, of_medians = results.ratios(("a", "gateward"), ("a", "nginx"), "us")
        self.assertAlmostEqual(per_round, (0.8 + 0.5) / 2)
        self.assertAlmostEqual(of_medians, 14 / 20)

    def test_without_a_common_round_there_is_no_ratio(self):
        results = results_of(("a", "nginx", 0, {"us": 10}), ("a", "gateward", 1, {"us": 8}))
        self.assertEqual(results.ratios(("a", "gateward"), ("a", "nginx"), "us"), (None, None))

    def test_rounds_of_two_files_do_not_replace_each_other(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("one", "two")]
            for path, us in zip(paths, (10, 30)):
                with open(path, "w") as file:
                    json.dump({"kind": "point", "scenario": "a", "peer": "nginx", "round": 0, "us": us}, file)
            self.assertEqual(Results(paths).median("a", "nginx", "us"), 20)


class Verdicts(unittest.TestCase):
    ratio = bounds.Bound("a", "us", bounds.RATIO, 0.85)

    def test_of_ratios(self):
        for value, second, expected in ((0.85, 0.80, "holds"), (0.90, 0.91, "missed by 0.050"),
                                        (None, None, "not measured")):
            self.assertEqual(bounds.verdict(self.ratio, value, second), expected)

    def test_ratios_that_disagree_say_so(self):
        self.assertTrue(bounds.verdict(self.ratio, 0.84, 0.86).startswith("holds; too close"))
        self.assertTrue(bounds.verdict(self.ratio, 0.86, 0.84).startswith("missed by 0.010; too close"))

    def test_every_bound_has_its_scenario_and_unit(self):
        for bound in bounds.BOUNDS:
            self.assertIn(bound.scenario, SCENARIOS)
            self.assertIn(bound.other_scenario, SCENARIOS)
            self.assertIn(bound.figure, report.UNITS)

    def test_k_is_compared_with_k10_of_gateward(self):
        results = results_of(("k", "gateward", 0, {"us": 11}), ("k10", "gateward", 0, {"us": 10}),
                             ("k", "nginx", 0, {"us": 1}))
        row = next(line for line in report.bounds_table(results).splitlines() if line.startswith("| k "))
        self.assertIn("1.100", row)
        self.assertIn("missed by 0.070", row)

    def test_an_access_log_that_lacks_lines_is_named(self):
        results = results_of(("log", "gateward", 0, {"us": 1, "all_requests": 10, "log_lines": 7}),
                             ("log", "gateward", 1, {"us": 1, "all_requests": 10, "log_lines": 11}))
        self.assertEqual(report.incomplete_logs(results),
                         ["log, gateward, round 1: 3 of 10 requests are not in the access log"])
        self.assertIn("its access log is incomplete", report.bounds_table(results))


class Templates(unittest.TestCase):
    def test_conditions_repetitions_and_values(self):
        template = "@if log@ log @FILE@\n@if plain,routes@ off\n@each route@to @PREFIX@ at @PORT@"
        self.assertEqual(templates.render(template, "plain", ["/a/", "/b/"], {"port": 1}),
                         " off\nto /a/ at 1\nto /b/ at 1\n")

    def test_every_template_is_filled_wholly(self):
        values = dict.fromkeys(("dir", "port", "origin", "admin", "access_log"), "x")
        for peer in peers.PEERS.values():
            for scenario in SCENARIOS.values():
                for template in peer.files.values() if peers.can(peer, scenario) else ():
                    with open(os.path.join(templates.FOLDER, template)) as file:
                        text = templates.render(file.read(), scenario.variant, scenario.prefixes, values)
                    # Envoy has types that begin with "@type".
                    self.assertNotRegex(text.replace('"@type"', ""), "@", f"{template}, {scenario.name}")


class Plan(unittest.TestCase):
    def test_peers_take_turns_and_k10_follows_k(self):
        class Options:
            scenarios, rounds = ["a", "k", "k10", "mem", "log"], 2

        chosen = [peers.PEERS["nginx"], peers.PEERS["haproxy"]]
        first = ["a nginx", "a haproxy", "k nginx", "k10 nginx", "k haproxy", "k10 haproxy"]
        steps = [f"{scenario.name} {peer.name}" for _, scenario, peer in bench.plan(Options, chosen)]
        self.assertEqual(steps, [*first, "mem nginx", "mem haproxy", "log nginx", *first, "log nginx"])


if __name__ == "__main__":
    unittest.main()
