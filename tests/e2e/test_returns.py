"""Results of system calls (--returns) against those that strace prints inside the guest, of the same
run, call by call; and against counted programs that know them, on 1 and 2 vCPUs (with SWAT_ALL set,
on 4 too, and five times each). SWAT_KERNELS: series of other kernels to test, in a row."""

import os

import case
import strace_output
from swatd import Trace
from test_exact import Exact

# Forks, a pipe, executes, reads, writes: and the same every time.
SHELL = "sh -c 'ls /lib | wc -l; cat /init > /run/copy; counted 5'"
WITHOUT_RESULT = {"never", "died", "unfinished"}


def outcome(event):
    """What a return event says, in the words of strace_output."""
    if event["outcome"] in WITHOUT_RESULT:
        return None
    if event["error"]:
        return event["error"]
    return event["result"] % 2**64 if event["result"] is not None else event["outcome"]


class Results:
    """The assertions, for a test of any guest."""

    options = ()
    unseen = frozenset()  # what swatd does not see, and says so

    def visible(self, calls):
        """What swatd sees of what strace has told of a thread."""
        return [(name, end) for name, end in calls if name not in self.unseen]

    def returns_of(self, trace):
        """{sequence number of a call: its one return event}; each event of a child apart."""
        ends = {}
        for event in trace.events("return"):
            if event["outcome"] == "in_child":
                continue
            self.assertNotIn(event["call"], ends, "a call has returned twice")
            ends[event["call"]] = event
        return ends

    def assert_results_of_counted(self, *command, options=()):
        """Of the two calls that the counted programs make: getpid and openat."""
        with Trace(self.guest, "--returns", "--calls", "none", *options) as trace:
            pid, expected = self.count(*command)
        self.assertEqual(trace.gaps(), [])
        self.assert_counted_results(trace, pid, expected)
        return trace

    def assert_counted_results(self, trace, pid, expected):
        results = [event["result"] for event in trace.events("return", pid=pid, name="getpid")]
        self.assertEqual(results, [pid] * expected["getpid"])
        errors = [event["error"] for event in trace.events("return", pid=pid, name="openat")]
        self.assertEqual(errors, ["ENOENT"] * expected["openat"])

    def assert_each_call_has_one_return(self, trace):
        ends = self.returns_of(trace)
        self.assertEqual({event["seq"] for event in trace.events("syscall")}, set(ends))
        self.assertEqual([event for event in ends.values() if event["outcome"] == "missed"], [])
        return ends

    def assert_same_as_strace(self, command):
        with Trace(self.guest, "--names", "--returns", "--calls", "none", *self.options) as trace:
            self.guest.check(f"strace -f -o /run/strace.out {command}", timeout=300)
        self.assertEqual(trace.gaps(), [])
        expected = strace_output.calls(self.guest.check("cat /run/strace.out"))
        ends = self.returns_of(trace)
        leader = min(expected)
        for tid, calls in expected.items():
            seen = [(event["name"], outcome(ends[event["seq"]]))
                    for event in trace.events("syscall", tid=tid)]
            if tid == leader:  # before its execve it was strace's own child, which strace hides
                seen = seen[[name for name, _ in seen].index("execve"):]
            seen = [(name or "syscall_0x270f", end) for name, end in seen]
            with self.subTest(tid=tid):
                self.assertEqual(seen, self.visible(calls))
        return trace, expected


class Returns(Results):
    """For a GuestCase; the guests below differ."""

    def test_of_a_shell(self):
        _, expected = self.assert_same_as_strace(SHELL)
        self.assertGreaterEqual(len(expected), 5)

    def test_of_every_way_to_end(self):
        _, expected = self.assert_same_as_strace("endings")
        ends = {end for calls in expected.values() for _, end in calls}
        # That the test has tested what it says.
        self.assertLessEqual({"EBADF", "ENOENT", "EFAULT", "ENOSYS", "ERESTARTSYS", "ERESTARTNOHAND",
                              "ERESTART_RESTARTBLOCK", "EPIPE", None}, ends)


class SideBySide(Returns):
    """Programs at once, so that vCPUs come to their returns, entries and calls at the same moment."""

    assert_exact = Exact.assert_exact
    COUNTED = {"counted 200": "syscall", "counted-now 200": "syscall", "counted32 40": "int80"}

    def test_counted_programs_side_by_side(self):
        for run in range(case.RUNS):
            files = {f"/run/{i}": command for i, command in enumerate(self.COUNTED)}
            together = " & ".join(f"{command} > {file}" for file, command in files.items())
            with Trace(self.guest, "--names", "--returns") as trace:
                self.guest.check(f"{together} & wait", timeout=300)
            self.assert_each_call_has_one_return(trace)
            for file, command in files.items():
                pid, expected = case.counted(self.guest.check(f"cat {file}"))
                with self.subTest(command, run=run):
                    self.assert_exact(trace, pid, expected, self.COUNTED[command])
                    self.assert_counted_results(trace, pid, expected)

    def test_every_way_to_end_side_by_side(self):
        with Trace(self.guest, "--returns", "--calls", "none") as trace:
            self.guest.check("rm -f /run/a /run/b; endings && echo well > /run/a & "
                             "endings && echo well > /run/b & wait", timeout=300)
        self.assertEqual(self.guest.check("cat /run/a /run/b").split(), ["well", "well"])
        ends = self.assert_each_call_has_one_return(trace)
        outcomes = {event["outcome"] for event in ends.values()}
        self.assertLessEqual({"returned", "interrupted", "never", "died"}, outcomes)


class OneVcpu(SideBySide, case.GuestCase):
    def test_a_fork_returns_in_the_child_as_well(self):
        with Trace(self.guest, "--returns", "--calls", "none") as trace:
            self.guest.check("endings")
        forks = [event for event in trace.events("return", outcome="returned")
                 if event["name"] in ("vfork", "clone", "clone3") and event["result"] > 0]
        self.assertGreaterEqual(len(forks), 5)
        for fork in forks:
            with self.subTest(fork):
                child, = trace.events("return", outcome="in_child", call=fork["call"])
                self.assertEqual(child["tid"], fork["result"])
                self.assertEqual(child["result"], 0)

    def test_durations_are_those_of_the_calls(self):
        with Trace(self.guest, "--returns", "--calls", "none") as trace:
            self.guest.check("sleep 0.5")
        sleep, = trace.events("return", process="sleep", name="clock_nanosleep")
        self.assertEqual(sleep["result"], 0)
        self.assertGreaterEqual(sleep["guest_duration_ns"], 0.45e9)
        # The guest's clock stands still while the guest does.
        self.assertGreaterEqual(sleep["duration_ns"], sleep["guest_duration_ns"] - 0.02e9)

    def test_lines_of_the_log(self):
        with Trace(self.guest, "--names", "--returns", "--calls", "none") as trace:
            self.guest.check("cat /nonexistent; true")
        opened = next(event for event in trace.events("return", process="cat", name="open")
                      + trace.events("return", process="cat", name="openat")
                      if event["error"] == "ENOENT")
        line = f"{opened['as']}: return {opened['number']:x} {opened['name']} = -2 ENOENT " \
               f"cat/{opened['pid']}"
        self.assertIn(line, trace.log())

    def test_of_32_bit_calls(self):
        trace = self.assert_results_of_counted("counted32", 40)
        self.assertEqual({event["entry"] for event in trace.events("return", process="counted32")
                          if event["name"] == "openat"}, {"int80"})
        trace = self.assert_results_of_counted("counted32", 40, "vsyscall")  # syscall: an AMD CPU
        self.assertEqual({event["entry"] for event in trace.events("return", process="counted32")
                          if event["name"] == "openat"}, {"syscall"})

    def test_by_breakpoints(self):
        trace = self.assert_results_of_counted("counted", 20, options=["--traps", "break"])
        self.assertIn("returns: break", trace.diagnostics())

    def test_with_ram_read_through_the_stub(self):
        self.assert_results_of_counted("counted", 50, options=["--ram", "stub"])

    def test_of_selected_calls_only(self):
        with Trace(self.guest, "--returns", "-e", "trace=openat,execve") as trace:
            self.guest.check("counted 50; true")
        self.assertEqual({event["name"] for event in trace.events("return")}, {"openat", "execve"})
        ends = self.returns_of(trace)
        self.assertEqual({event["seq"] for event in trace.events("syscall")}, set(ends))
        self.assertEqual({event["outcome"] for event in ends.values()}, {"returned"})

    def test_nothing_of_it_without_the_option(self):
        with Trace(self.guest, "--names") as trace:
            self.guest.check("true")
        self.assertEqual(trace.events("return"), [])
        self.assertEqual([line for line in trace.log() if ": return " in line], [])


@case.quick("test_of_32_bit_calls", "test_of_every_way_to_end")
class Isolation(Returns, case.GuestCase):
    guest_options = {"cpu": "Haswell", "append": "pti=on"}  # an Intel CPU: sysenter

    def test_of_32_bit_calls(self):
        self.assert_results_of_counted("counted32", 40)
        trace = self.assert_results_of_counted("counted32", 40, "vsyscall")
        self.assertEqual({event["entry"] for event in trace.events("return", process="counted32")
                          if event["name"] == "openat"}, {"sysenter"})


@case.quick("test_counted_programs_side_by_side", "test_every_way_to_end_side_by_side")
class TwoVcpus(SideBySide, case.GuestCase):
    guest_options = {"smp": 2}


@case.quick()
class FourVcpus(SideBySide, case.GuestCase):
    guest_options = {"smp": 4}


for series in os.environ.get("SWAT_KERNELS", "5.10").split():
    name = "Linux_" + series.replace(".", "_")
    globals()[name] = type(name, (Returns, case.GuestCase), {"guest_options": {"kernel": series}})


if __name__ == "__main__":
    case.main()
