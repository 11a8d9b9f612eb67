"""Results of functions (--returns=calls) against a program that prints those which it got, call by
call (tests/guests/results.c): recursion, tail calls, callbacks, a signal's handler, calls that are
left by longjmp, vfork and execve; on 1 and 2 vCPUs."""

import collections
import re

import case
import swatd
from swatd import Trace

FUNCTIONS = ["strlen", "swat_*", "qsort", "raise", "vfork", "fork", "waitpid"]
SELECTION = [word for name in FUNCTIONS for word in ("--calls", f"*!{name}")]
WITHOUT_RESULT = {"qsort"}  # returns nothing, and leaves anything


def truth(output):
    """{tid: [(function, result, or "unwound")]} of what results.c printed."""
    calls = collections.defaultdict(list)
    for tid, function, value in re.findall(r"^RESULT (\d+) (\S+) (\S+)$", output, re.MULTILINE):
        calls[int(tid)].append((function, value if value == "unwound" else int(value)))
    return calls


class CallReturns:
    """The assertions; the guests below differ."""

    options = ()

    def trace_of(self, *command, options=()):
        """(trace, what the program printed, {sequence number of a call: its one return event})"""
        with Trace(self.guest, "--names", "--returns=calls", *self.options, *options) as trace:
            expected = truth(self.guest.check(" ".join(map(str, command)), timeout=300))
        self.assertEqual(trace.gaps(), [])
        ends = {}
        for event in trace.events("return"):
            self.assertNotIn(event["call"], ends, "a call has returned twice")
            ends[event["call"]] = event
        self.assertEqual({event["seq"] for event in trace.events("call")}, set(ends))
        return trace, expected, ends

    def seen(self, trace, ends, tid):
        """What the trace says of the program's own calls, as truth() does."""
        calls = [event for event in trace.events("call", tid=tid)
                 if event["caller_module"] in ("results", "libresults.so")]
        return [(event["function"], ends[event["seq"]]["result"]
                 if ends[event["seq"]]["outcome"] == "returned" else ends[event["seq"]]["outcome"])
                for event in calls]

    def assert_same(self, *command):
        trace, expected, ends = self.trace_of(*command, options=[*SELECTION, "-e", "none"])
        for tid, calls in expected.items():
            with self.subTest(tid=tid):
                self.assertEqual(self.seen(trace, ends, tid), calls)
        return trace, expected, ends

    def test_results_of_threads(self):
        _, expected, _ = self.assert_same("results", 20, 2)
        self.assertEqual(len(expected), 4)  # and the child of fork
        functions = {call for calls in expected.values() for call in calls}
        self.assertIn(("swat_each", "unwound"), functions)
        self.assertIn(("swat_each", 8), functions)


class OneVcpu(CallReturns, case.GuestCase):
    def test_of_calls_that_never_return(self):
        trace, _, ends = self.trace_of("results", 1, options=["-e", "none"])
        exec_call, = trace.events("call", function="execve", process="results")
        self.assertEqual(ends[exec_call["seq"]]["outcome"], "never")
        in_child, = trace.events("call", function="_exit", process="results")
        self.assertIn(ends[in_child["seq"]]["outcome"], ("died", "unfinished"))

    def test_more_calls_at_once_than_can_be_watched(self):
        trace, expected, ends = self.trace_of("results", "deep", 400,
                                              options=[*SELECTION, "-e", "none"])
        (tid, calls), = expected.items()
        seen = self.seen(trace, ends, tid)
        self.assertEqual(len(seen), len(calls))
        missed = [name for name, end in seen if end == "missed"]
        self.assertGreaterEqual(len(missed), 401 - 256)
        for got, call in zip(seen, calls):
            if got[1] != "missed":
                self.assertEqual(got, call)
        everybodys = len(trace.events("return", outcome="missed"))
        self.assertIn(f"{everybodys} missed", trace.diagnostics())

    def test_beside_results_of_system_calls(self):
        with Trace(self.guest, "--names", "--returns=syscalls,calls", "--calls", "*!getpid",
                   "--calls", "*!strlen") as trace:
            expected = truth(self.guest.check("results 3"))
        for tid, calls in expected.items():
            ends = {event["call"]: event for event in trace.events("return", tid=tid)}
            self.assertEqual([ends[event["seq"]]["result"] for event in
                              trace.events("call", tid=tid, function="strlen",
                                           caller_module="results")],
                             [value for name, value in calls if name == "strlen"])
            numbers = {event["result"] for event in ends.values()
                       if event.get("name") == "gettid"}
            self.assertEqual(numbers, {tid})

    def test_of_functions_with_a_breakpoint(self):
        trace, expected, ends = self.trace_of(
            "results", 2, options=["--calls", "none", "-e", "none",
                                   "--break", "libresults.so!swat_*"])
        for tid, calls in expected.items():
            self.assertEqual(self.seen(trace, ends, tid),
                             [call for call in calls if call[0].startswith("swat_")])

    def test_lines_and_durations(self):
        trace, expected, _ = self.trace_of("results", 2, options=[*SELECTION, "-e", "none"])
        done = trace.events("return", function="swat_tail", process="results")[-1]
        line = f"Return {done['address']}:swat_tail = {done['result']} results/{done['pid']}"
        self.assertIn(line, trace.log())
        waited = [event for event in trace.events("return", function="waitpid", process="results")]
        self.assertEqual([event["result"] for event in waited],
                         [value for calls in expected.values() for name, value in calls
                          if name == "waitpid"])
        for event in trace.events("return", outcome="returned"):
            self.assertGreater(event["duration_ns"], 0)

    def test_what_cannot_be_had_is_refused(self):
        done = swatd.once(*swatd.connection(self.guest), "--returns=calls", "--traps", "exec-log",
                          "--duration", 1)
        self.assertEqual(done.returncode, swatd.USAGE)
        self.assertIn("execution log does not tell results", done.stderr)


class TwoVcpus(CallReturns, case.GuestCase):
    guest_options = {"smp": 2}


if __name__ == "__main__":
    case.main()
