"""Tests of what turns requests and counts into verdicts: `python3 -m unittest discover bench/resilience`."""
import math
import os
import struct
import sys
import tempfile
import unittest
from dataclasses import replace

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import board
import exchanges as x
import figures
import gateways
import peers
import services
import tables
import templates
from exchanges import Exchange
from faults import FAULTS, VICTIM


def load(seconds, rate=100, ms=lambda due: 5, outcome=lambda due: 200):
    """Requests at a constant rate; latency and outcome follow from when they were due, in seconds."""
    made = []
    for number in range(round(seconds * rate)):
        due = number / rate
        at = round(due * 1e6)
        made.append(Exchange(at, at, at + round(ms(due) * 1000), outcome(due)))
    return made


class Latencies(unittest.TestCase):
    def test_percentiles_are_values_that_occurred(self):
        hundred = list(range(1, 101))
        for values, share, expected in ((hundred, 0.99, 99), (hundred, 0.5, 50), (hundred, 1, 100), ([7], 0.5, 7),
                                        ([7], 0.99, 7), ([1, 2, 3], 0, 1), ([], 0.5, None),
                                        ([3, 1, 2], 0.5, 2)):
            self.assertEqual(x.percentile(values, share), expected)

    def test_a_failed_request_is_never_quick(self):
        failed = Exchange(0, 0, 10, 502)
        self.assertTrue(math.isinf(failed.ms))
        self.assertTrue(math.isinf(x.percentile([failed.ms, 1], 1)))

    def test_latency_begins_when_a_request_was_due(self):
        self.assertEqual(Exchange(due=1_000, begun=400_000, ended=401_000, outcome=200).ms, 400)

    def test_requests_belong_to_the_window_they_were_due_in(self):
        slow = Exchange(399_999, 399_999, 9_000_000, 200)
        quick = Exchange(400_000, 400_000, 401_000, 200)
        early = Exchange(199_999, 199_999, 201_000, 200)
        found = x.window_latencies([early, slow, quick], 0.2, 0.9, 0.2, 0.99)
        self.assertEqual(found, [8600.001, 1, None])

    def test_windows_in_which_the_load_was_late_say_nothing(self):
        exchanges = load(1, 1000)
        stalled = [exchange._replace(begun=max(exchange.begun, 430_000), ended=max(exchange.ended, 435_000))
                   if 410_000 <= exchange.due < 430_000 else exchange for exchange in exchanges]
        # It began less than 50 ms after the second window, whose last requests were under way.
        self.assertEqual(x.window_latencies(stalled, 0, 1, 0.2, 0.99), [5, None, None, 5, 5])
        # The same delay by a gateway counts.
        slow = [exchange._replace(begun=exchange.due) for exchange in stalled]
        self.assertEqual(x.window_latencies(slow, 0, 1, 0.2, 0.99), [5, 5, 23, 5, 5])

    def test_records_are_read_as_they_were_written(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(struct.pack("<8i", 1, 2, 3, 200, 4, 5, 6, -3))
            file.flush()
            first, second = x.read(file.name)
        self.assertEqual((first.due, first.begun, first.ended, first.ok), (1, 2, 3, True))
        self.assertEqual(x.outcomes([first, second, second]), {"client gave up": 2})


class Settling(unittest.TestCase):
    def test_a_row_has_to_be_whole(self):
        for values, expected in (([1, 1, 1], 0), ([9, 1, 1, 1], 1), ([1, 1, 9, 1, 1, 1], 3), ([1, 1, 9], None),
                                 ([9, 1, None, 1, 1], 1), ([None, 1, 1, 1], 1), ([1, None, None, 1], None),
                                 ([], None)):
            self.assertEqual(x.settles_at(values, 2, 3), expected, values)

    def test_for_good_means_that_it_does_not_come_back(self):
        calm, bad = [1] * 40, [9, 9, 9]
        for values, expected in ((calm, 0), (bad + calm, 3), (calm + [9, 9] + calm, 0), (calm + bad + calm, 43),
                                 (calm + [9, None, 9, None, 9] + calm, 0), ([9] + calm, 1), (calm + bad, None),
                                 ([1, 1, 9] * 9 + calm, 27), ([9, None] + calm, 2),
                                 (calm + [math.inf] * 30 + calm, 70)):
            self.assertEqual(x.settles_for_good_at(values, 2, 3, 3, 0.05), expected, values)


class Figures(unittest.TestCase):
    nobody = [[0] * board.WINDOWS] * 3

    def of_stop(self, **of_load):
        """Figures of a load under the fault `stop`."""
        return figures.figures_of(FAULTS["stop"], load(24, **of_load), self.nobody, 5.0)

    def test_a_stall_of_a_second(self):
        found = self.of_stop(ms=lambda due: 500 if 5 <= due < 6 else 5)
        self.assertEqual((found["p99_before"], found["worst_p99"]), (5, 500))
        self.assertAlmostEqual(found["recovered_s"], 1)
        self.assertEqual(figures.missed(FAULTS["stop"], found), [])

    def test_a_stall_that_lasts_is_missed(self):
        found = self.of_stop(ms=lambda due: 500 if 5 <= due < 17 else 5)
        self.assertAlmostEqual(found["recovered_s"], 12)
        self.assertEqual([bound.figure for bound, _ in figures.missed(FAULTS["stop"], found)], ["recovered_s"])

    def test_what_is_felt_when_the_endpoint_returns_is_only_summed(self):
        found = self.of_stop(ms=lambda due: 500 if 5 <= due < 6 or 20.2 <= due < 21.2 else 5)
        self.assertAlmostEqual(found["recovered_s"], 1)
        self.assertAlmostEqual(found["above_s"], 2)

    def test_a_stall_that_lasts_as_long_as_its_fault_has_no_time(self):
        found = self.of_stop(ms=lambda due: 500 if 5 <= due < 20 else 5)
        self.assertNotIn("recovered_s", found)
        self.assertIn("recovered_s never, not ≤ 2.0 s",
                      tables.verdict(FAULTS["stop"], {**found, "gateway": "gateward"}))

    def test_failures_count_from_when_the_fault_began(self):
        # Due before the fault, and still under way when it began.
        found = self.of_stop(ms=lambda due: 100 if due == 4.95 else 5,
                             outcome=lambda due: 502 if due == 4.95 else 200)
        self.assertEqual((found["failed"], found["failed_before"]), (1, 0))
        self.assertGreater(found["failed_share"], 0)
        self.assertEqual(figures.doubts(found), "")

    def test_failures_before_the_fault_are_doubtful(self):
        found = self.of_stop(outcome=lambda due: 502 if due == 3 else 200)
        self.assertEqual(found["failed_before"], 1)
        self.assertIn("before", figures.doubts(found))

    def test_a_load_that_is_late_is_doubtful(self):
        for now_and_then in (1, 10):
            late = [exchange._replace(begun=exchange.due + 20_000) if number % now_and_then == 0 else exchange
                    for number, exchange in enumerate(load(24))]
            self.assertIn("late", figures.doubts(figures.figures_of(FAULTS["stop"], late, self.nobody, 5.0)))

    def test_an_endpoint_that_gets_nothing_any_more(self):
        fault, counts = FAULTS["half_500"], [[0] * board.WINDOWS for _ in range(3)]
        for window in range(650):
            for endpoint in range(3):
                # One probe every ten windows remains.
                out = endpoint == VICTIM and window >= 64
                counts[endpoint][window] = (window % 10 == 0) if out else 67
        found = figures.ejection(fault, counts, 5.003)
        # The window in which the fault began is not whole; 51 is the first that is.
        self.assertAlmostEqual(found["ejected_s"], 5.1 + 1.4 - 5.003, delta=0.11)
        self.assertAlmostEqual(found["victim_share"], (13 + 0.1 * 58) / 67 * 67 / (3 * 599), delta=0.02)

    def test_an_endpoint_that_keeps_its_share_was_never_ejected(self):
        found = figures.ejection(FAULTS["half_500"], [[67] * board.WINDOWS for _ in range(3)], 5.0)
        self.assertIsNone(found["ejected_s"])
        self.assertAlmostEqual(found["victim_share"], 1 / 3)


class Goodput(unittest.TestCase):
    fault = FAULTS["overload"]

    def of_overload(self, ms, outcome):
        """Figures of the offered load; `outcome` of the number of a request in the overload."""
        calm = load(6, 500, ms=lambda due: 40)
        busy = []
        for number in range(60_000):
            due = 6_000_000 + round(number * 1e6 / 3000)
            busy.append(Exchange(due, due, due + ms * 1000, outcome(number)))
        return figures.figures_of(self.fault, calm + busy, [], 6.0)

    def test_rejections_are_neither_goodput_nor_other_failures(self):
        found = self.of_overload(50, lambda number: 503 if number % 3 else 200)
        self.assertAlmostEqual(found["goodput"], 1000, delta=3)
        self.assertEqual((found["rejected"], found["broken"], found["capacity"]), (40_000, 0, 1000))
        self.assertAlmostEqual(found["p99_ratio"], 50 / 40)
        self.assertEqual(figures.missed(self.fault, found), [])

    def test_what_is_answered_after_the_end_is_no_goodput(self):
        found = self.of_overload(4_000, lambda number: 503 if number % 3 else 200)
        self.assertAlmostEqual(found["goodput"], 800, delta=3)
        self.assertEqual({bound.figure for bound, _ in figures.missed(self.fault, found)},
                         {"goodput_share", "p99_ratio"})

    def test_nothing_served_misses_everything(self):
        found = self.of_overload(50, lambda _number: -3)
        self.assertEqual((found["goodput"], found["broken"]), (0, 60_000))
        self.assertEqual(len(figures.missed(self.fault, found)), 2)


class Tables(unittest.TestCase):
    def record(self, **of_load):
        """A record of Gateward under `kill`."""
        found = figures.figures_of(FAULTS["kill"], load(24, **of_load), Figures.nobody, 5.0)
        return {"gateway": "gateward", "fault": "kill", **found}

    def test_a_verdict_says_what_was_missed(self):
        self.assertEqual(tables.verdict(FAULTS["kill"], self.record()), "passes")
        broken = self.record(outcome=lambda due: -2 if due == 6 else 200)
        self.assertEqual(tables.verdict(FAULTS["kill"], broken), "FAILS: failed 1, not ≤ 0")
        self.assertIn("1 × connection closed", tables.text([], [broken]))
        self.assertFalse(tables.holds(broken))

    def test_of_peers_nothing_is_asked(self):
        broken = self.record(outcome=lambda due: 502)
        self.assertTrue(tables.holds({**broken, "gateway": "nginx"}))
        self.assertNotIn("Bounds of Gateward", tables.text([], [{**broken, "gateway": "nginx"}]))

    def test_what_could_not_be_measured_does_not_hold(self):
        record = {"gateway": "gateward", "fault": "flap", "failed_because": "it does not start"}
        self.assertFalse(tables.holds(record))
        self.assertIn("not measured: it does not start", tables.text([], [record]))

    def test_the_last_of_several_runs_counts(self):
        text = tables.text([], [self.record(outcome=lambda due: 502), self.record()])
        self.assertIn("| passes", text)
        self.assertNotIn("FAILS", text)

    def test_every_column_and_bound_has_a_form(self):
        for fault in FAULTS.values():
            self.assertIn(fault.name, tables.COLUMNS)
            for bound in fault.bounds:
                self.assertIn(bound.figure, {figure for _title, figure, _form in tables.COLUMNS[fault.name]})


class Faults(unittest.TestCase):
    def test_actions_exist_and_happen_under_load(self):
        for fault in FAULTS.values():
            self.assertLessEqual(fault.end, fault.seconds)
            self.assertEqual(sorted(fault.actions), list(fault.actions))
            for at, method, _arguments in fault.actions:
                self.assertTrue(fault.begin <= at < fault.seconds and hasattr(services.Services, method), fault.name)

    def test_one_gateway_takes_at_most_four_minutes(self):
        self.assertLessEqual(sum(fault.seconds + 2 for fault in FAULTS.values()), 240)

    def test_every_configuration_is_filled_wholly(self):
        values = dict.fromkeys(("dir", "port", "admin", "discovery", "origin0", "origin1", "origin2"), "x")
        for kind, file in gateways.FILES.items():
            with open(os.path.join(gateways.HERE, "conf", file)) as opened:
                template = opened.read()
            for fault in FAULTS.values():
                if gateways.can(replace(peers.PEERS[kind], name=kind + "2"), fault):
                    text = templates.render(template, fault.variant, fault.prefixes, values)
                    # Envoy has types that begin with "@type".
                    self.assertNotRegex(text.replace('"@type"', ""), "@", f"{kind}, {fault.name}")


class Boards(unittest.TestCase):
    def test_the_service_and_this_program_agree_where_things_stand(self):
        with tempfile.NamedTemporaryFile() as file:
            made = board.Board(file.name, {"slots": 3, "service_us": 5000, "varying_permille": 200})
            made.set("failing_permille", 500)
            made.begin(7)
            with open(file.name, "rb") as opened:
                content = opened.read()
            self.assertEqual(struct.unpack_from("<Q4I", content), (7, 3, 5000, 200, 500))
            struct.pack_into("<I", made.memory, 24 + 4 * 12, 34)
            self.assertEqual((made.arrived()[12], sum(made.arrived())), (34, 34))
            made.memory.close()


if __name__ == "__main__":
    unittest.main()
