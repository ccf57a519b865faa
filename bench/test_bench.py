"""Tests of what turns figures into judgements: `python3 -m unittest discover bench`."""
import base64
import contextlib
import io
import json
import os
import socketserver
import subprocess
import tempfile
import threading
import unittest
from types import SimpleNamespace
from unittest import mock

import bench
import bounds
import certificate
import clients
import credentials
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


def decoded(text):
    """What Base64 without padding stands for."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


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

    def test_jwt_is_compared_with_haproxy_and_envoy(self):
        results = results_of(("jwt", "haproxy", 0, {"us": 40}), ("jwt", "envoy", 0, {"us": 50}),
                             ("jwt", "gateward", 0, {"us": 14}))
        self.assertEqual(report.ratio_columns(results, "jwt"), ["haproxy", "envoy"])
        rows = [line for line in report.bounds_table(results).splitlines() if line.startswith("| jwt ")]
        self.assertIn("0.350 |      0.350 | ≤ 0.32 × haproxy | missed by 0.030", rows[0])
        self.assertIn("0.280 |      0.280 | ≤ 0.26 × envoy   | missed by 0.020", rows[1])

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

    def test_consumers_are_repeated_with_their_keys(self):
        with mock.patch.object(credentials, "API_KEYS", {"one": "k1", "two": "k2"}):
            text = templates.render("@if key@@each consumer@@API_KEY@ of @CONSUMER@ @KEY@", "key", ["/"], {"key": "x"})
        self.assertEqual(text, "k1 of one x\nk2 of two x\n")

    def test_peers_know_every_consumer_and_only_where_they_ask(self):
        known = {"nginx.conf": "nginx.conf", "haproxy.keys": "keys.map", "envoy.yaml": "envoy.yaml",
                 "gateward.yaml": "gateward.yaml"}
        wrong = credentials.KEY["wrong"].rpartition(" ")[2]
        for template in known:
            with open(os.path.join(templates.FOLDER, template)) as file:
                text = file.read()
            with_keys = templates.render(text, "key", ["/"], {})
            self.assertTrue(all(key in with_keys for key in credentials.API_KEYS.values()), template)
            self.assertNotIn(wrong, with_keys)
            if template != "haproxy.keys":  # without the line in haproxy.cfg, nobody reads it
                self.assertNotIn("consumer", templates.render(text, "plain", ["/"], {}), template)

    def test_every_template_is_filled_wholly(self):
        values = dict.fromkeys(("dir", "port", "origin", "admin", "access_log", "cert", "key", "both", "jwks", "store",
                                "public_key"), "x")
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

    def test_options_of_the_load_are_filled_and_the_warm_up_has_its_own_tokens(self):
        class Recording:
            commands = []

            def run(self, command, *_):
                self.commands.append(command[4:])
                return '{"requests": 1, "errors": 0, "seconds": 1}'

        shown = {"key": {"right": "K", "wrong": "no"}, "jwt": {"tokens": "many", "warm_up": "few", "right": "T"}}
        under_test = measure.Bench(Recording(), {"load": "/load"}, {}, (0, 1, 1), "/", {}, shown)
        for name, warm_up in (("a", False), ("key401", True), ("jwt", True), ("jwtmiss", True), ("jwtmiss", False)):
            under_test.load(1, SCENARIOS[name], 1, warm_up)
        self.assertEqual(Recording.commands, [[], ["-H", "no", "-s", "401"], ["-H", "T"], ["-r", "few"],
                                              ["-r", "many"]])

    def test_without_openssl_the_scenarios_with_tokens_are_left_out(self):
        options = SimpleNamespace(scenarios=["key", "jwt", "jwtmiss"])
        output = io.StringIO()
        with mock.patch.object(programs, "compile_needed", return_value=({"load": "/load", "tokens": "/tokens"}, {})), \
                mock.patch.object(credentials, "token", side_effect=certificate.NotMade("no openssl")), \
                contextlib.redirect_stdout(output):
            bench.prepare(options)
        self.assertEqual(options.scenarios, ["key"])
        self.assertEqual(output.getvalue().splitlines(), ["jwt is left out: no openssl",
                                                          "jwtmiss is left out: no openssl"])

    def test_what_a_peer_refuses_is_not_asked_for_again(self):
        class Refusing:
            asked = []

            def measure(self, members, _seconds):
                names = [scenario.name for scenario, _ in members]
                self.asked += names
                return [(peers.PeerRefused if name == "tls" else peers.PeerFailed)("no") for name in names]

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
        first = ["a nginx a haproxy", "k nginx k10 nginx k haproxy k10 haproxy"]
        steps = [" ".join(f"{scenario.name} {peer.name}" for scenario, peer in members)
                 for _, members in bench.plan(Options, chosen)]
        self.assertEqual(steps, [*first, "mem nginx", "mem haproxy", "log nginx", *first, "log nginx"])


class Doorkeeper(socketserver.ThreadingTCPServer):
    """A service that refuses requests unless one of its keys is shown, and notes what was shown."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, *keys):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.keys, self.shown = keys, []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            with contextlib.suppress(ConnectionError):  # a load goes away while it waits for a reply
                key = ""
                for line in map(bytes.decode, self.rfile):
                    if line.startswith("X-Api-Key: "):
                        key = line.split()[1]
                    elif line == "\r\n":
                        self.answer(key)
                        key = ""

        def answer(self, key):
            self.server.shown.append(key)
            status, body = ("200 OK", "x" * 128) if key in self.server.keys else ("401 Unauthorized", "no")
            self.wfile.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


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

    def loaded(self, name, *arguments, connections=2, seconds=0.1):
        """What a load counts in a moment."""
        command = [self.compiled(name), arguments[0], connections, seconds, *arguments[1:]]
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

    def test_a_load_takes_the_status_that_is_expected_and_no_other(self):
        service = self.enterContext(Doorkeeper("right"))
        for key, expected, errors in (("right", "200", False), ("wrong", "200", True), ("wrong", "401", False),
                                      ("right", "401", True)):
            counts, output = self.loaded("load", service.port, "-H", f"X-Api-Key: {key}", "-s", expected)
            self.assertGreater(counts["requests"], 0)
            self.assertEqual(counts["errors"], counts["requests"] if errors else 0, output)

    def test_a_load_shows_each_line_once_and_then_ends(self):
        service = self.enterContext(Doorkeeper(*(f"key-{number}" for number in range(50))))
        path = os.path.join(self.folder, "lines")
        with open(path, "w") as file:
            file.write("".join(f"X-Api-Key: {key}\n" for key in service.keys))
        counts, output = self.loaded("load", service.port, "-r", path, connections=1, seconds=20)
        self.assertEqual(service.shown, list(service.keys))
        self.assertEqual((counts["requests"], counts["errors"]), (50, 0), output)
        self.assertLess(counts["seconds"], 20)
        service.shown.clear()
        counts, output = self.loaded("load", service.port, "-r", path, connections=3, seconds=20)
        self.assertEqual(len(set(service.shown)), len(service.shown))
        self.assertGreaterEqual(counts["requests"], 50 - 2, output)  # two may be under way at the end

    def test_a_peer_that_lets_everybody_pass_is_found_out(self):
        right, wrong = ("X-Api-Key: right", "X-Api-Key: wrong")
        clients.Guarded(right, wrong)(self.enterContext(Doorkeeper("right")).port, "/").close()
        for keys, complaint in ((("right", "wrong"), "the answer to a wrong credential"),
                                (("right", ""), "the answer to no credential"), ((), "the answer to a request")):
            with self.assertRaisesRegex(clients.WrongAnswer, complaint):
                clients.Guarded(right, wrong)(self.enterContext(Doorkeeper(*keys)).port, "/")

    def test_tokens_are_genuine_all_different_and_made_once(self):
        folder, program = os.path.join(self.folder, "shown"), self.compiled("tokens")
        try:
            shown = credentials.token(folder, program)
        except certificate.NotMade as error:
            self.skipTest(str(error))
        counts = (3, 8)
        self.assertFalse(credentials.are_made(folder, counts))
        lines = [shown["right"]]
        for path, count in zip(credentials.make_once(folder, program, counts).values(), counts):
            with open(path) as file:
                of_file = file.read().splitlines()
            self.assertEqual(len(of_file), count)
            lines += of_file
        self.assertEqual(len(set(lines)), len(lines))
        self.assertEqual(len(set(map(len, lines))), 1)
        for line in lines:
            self.assertTrue(self.is_genuine(line, folder), line)
        self.assertFalse(self.is_genuine(shown["wrong"], folder))
        self.assertEqual(json.loads(decoded(lines[-1].split(".")[1]))["aud"], "api")
        self.assertTrue(credentials.are_made(folder, counts))
        self.assertEqual(credentials.token(folder, "/none"), shown)
        credentials.make_once(folder, "/none", counts)
        os.remove(credentials.key_files(folder)["jwks"])  # with a new key, all of them are made anew
        self.assertNotEqual(credentials.token(folder, program), shown)
        self.assertFalse(credentials.are_made(folder, counts))

    def is_genuine(self, line, folder):
        """Whether openssl verifies a token with the public key, and whether that is what the JWKS holds."""
        signed, _, signature = line.removeprefix("Authorization: Bearer ").rpartition(".")
        path, files = os.path.join(self.folder, "signature"), credentials.key_files(folder)
        with open(path, "wb") as file:
            file.write(decoded(signature))
        with open(files["jwks"]) as file:
            modulus = decoded(json.load(file)["keys"][0]["n"])
        shown = certificate.openssl("rsa", "-pubin", "-in", files["public_key"], "-noout", "-modulus")
        self.assertEqual(shown.strip(), "Modulus=" + modulus.hex().upper())
        command = ["openssl", "dgst", "-sha256", "-verify", files["public_key"], "-signature", path]
        return subprocess.run(command, input=signed.encode(), capture_output=True).returncode == 0

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
