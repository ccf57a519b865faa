"""Tests of what turns figures into judgements: `python3 -m unittest discover bench`."""
import contextlib
import io
import json
import os
import tempfile
import unittest
from types import SimpleNamespace
from unittest import mock

import bench
import bounds
import certificate
import clients
import measure
import peers
import programs
import report
import templates
from processes import Processes, wait_until
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

    def test_grpc_is_compared_with_envoy(self):
        results = results_of(("grpc", "nginx", 0, {"us": 1}), ("grpc", "envoy", 0, {"us": 10}),
                             ("grpc", "gateward", 0, {"us": 7}))
        self.assertEqual(report.ratio_columns(results, "grpc"), ["nginx", "envoy"])
        row = next(line for line in report.bounds_table(results).splitlines() if line.startswith("| grpc "))
        self.assertIn("≤ 0.60 × envoy", row)
        self.assertIn("missed by 0.100", row)

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
        values = dict.fromkeys(("dir", "port", "origin", "admin", "access_log", "cert", "key", "both"), "x")
        for peer in peers.PEERS.values():
            for scenario in SCENARIOS.values():
                for template in peer.files.values() if peers.can(peer, scenario) else ():
                    with open(os.path.join(templates.FOLDER, template)) as file:
                        text = templates.render(file.read(), scenario.variant, scenario.prefixes, values)
                    # Envoy has types that begin with "@type".
                    self.assertNotRegex(text.replace('"@type"', ""), "@", f"{template}, {scenario.name}")


class Plan(unittest.TestCase):
    def test_programs_and_variants_of_scenarios_exist(self):
        for scenario in SCENARIOS.values():
            self.assertLessEqual({scenario.load, scenario.origin}, set(programs.PROGRAMS))
            self.assertTrue(peers.can(peers.PEERS["gateward"], scenario), scenario.name)

    def test_a_peer_that_cannot_do_a_scenario_is_named(self):
        options = SimpleNamespace(scenarios=["a", "tls", "grpc", "log"])
        self.assertEqual(bench.without_part(options, [peers.PEERS[name] for name in ("floor", "nginx", "envoy")]),
                         ["floor takes no part in tls, log", "envoy takes no part in log"])

    def test_a_scenario_without_its_program_is_left_out(self):
        options = SimpleNamespace(scenarios=["a", "tls", "h2"])
        compiled = {"load": "/load"}, {"load_tls": "no libssl", "load_h2_tls": "no libnghttp2"}
        output = io.StringIO()
        with mock.patch.object(programs, "compile_needed", return_value=compiled), \
                mock.patch.object(certificate, "certificate", side_effect=certificate.NotMade("no openssl")), \
                contextlib.redirect_stdout(output):
            bench.prepare(options)
        self.assertEqual(options.scenarios, ["a"])
        self.assertEqual(output.getvalue().splitlines(), ["tls is left out: no openssl; no libssl",
                                                          "h2 is left out: no openssl; no libnghttp2"])

    def test_what_a_peer_refuses_is_not_asked_for_again(self):
        class Refusing:
            asked = []

            def measure(self, _peer, scenario, _seconds):
                self.asked.append(scenario.name)
                raise (peers.PeerRefused if scenario.name == "tls" else peers.PeerFailed)("no")

        options = SimpleNamespace(scenarios=["a", "tls", "tlsg"], rounds=2, seconds=1)
        steps, log = bench.plan(options, [peers.PEERS["gateward"]]), io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(bench.run_steps(steps, Refusing(), options, log), 5)
        self.assertEqual(Refusing.asked, ["a", "tls", "tlsg", "a", "tlsg"])
        self.assertEqual(log.getvalue().count('"failed": "no"'), 5)

    def test_peers_take_turns_and_k10_follows_k(self):
        class Options:
            scenarios, rounds = ["a", "k", "k10", "mem", "log"], 2

        chosen = [peers.PEERS["nginx"], peers.PEERS["haproxy"]]
        first = ["a nginx", "a haproxy", "k nginx", "k10 nginx", "k haproxy", "k10 haproxy"]
        steps = [f"{scenario.name} {peer.name}" for _, scenario, peer in bench.plan(Options, chosen)]
        self.assertEqual(steps, [*first, "mem nginx", "mem haproxy", "log nginx", *first, "log nginx"])


class Servers(unittest.TestCase):
    """The origins and the loads, against each other: a load that overlooks errors would make figures of them."""

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.processes = self.enterContext(Processes())

    def compiled(self, name):
        try:
            return programs.compile_program(name, self.folder)
        except programs.NotCompiled as error:
            self.skipTest(str(error))

    def started(self, name):
        """The port of an origin."""
        port = peers.free_port()
        core = min(os.sched_getaffinity(0))
        self.processes.start([self.compiled(name), port], core, os.path.join(self.folder, "log"), self.folder)
        self.assertTrue(wait_until(lambda: clients.accepts(port), peers.START_SECONDS))
        return port

    def loaded(self, name, *arguments):
        """What a load counts in a moment."""
        command = [self.compiled(name), arguments[0], 2, 0.1, *arguments[1:]]
        output = self.processes.run(command, min(os.sched_getaffinity(0)), self.folder, 20)
        return measure.json_line(output), output

    def test_grpc_replies_are_whole_and_others_are_errors(self):
        port = self.started("origin_grpc")
        counts, output = self.loaded("load_h2", port, "-g", "-m", "4")
        self.assertGreater(counts["requests"], 0)
        self.assertEqual(counts["errors"], 0, output)
        counts, output = self.loaded("load_h2", port)  # a GET is no message
        self.assertGreater(counts["errors"], 0)
        self.assertEqual(counts["errors"], counts["requests"])
        self.assertIn("first error: a body of another size", output)

    def test_a_websocket_echoes_and_a_plain_request_still_works(self):
        port = self.started("origin")
        connection = clients.websocket(port, "/")
        clients.echo(connection)
        connection.close()
        clients.plain(port, "/").close()
        with self.assertRaises(clients.WrongAnswer):
            with mock.patch.object(clients, "UPGRADE", ""):
                clients.websocket(port, "/")

    def test_a_certificate_is_made_once(self):
        folder = os.path.join(self.folder, "certificate")
        try:
            paths = certificate.certificate(folder)
        except certificate.NotMade as error:
            self.skipTest(str(error))
        before = os.path.getmtime(paths["cert"])
        self.assertEqual(certificate.certificate(folder), paths)
        self.assertEqual(os.path.getmtime(paths["cert"]), before)
        clients.Tls(paths["cert"])  # it can be trusted


if __name__ == "__main__":
    unittest.main()
