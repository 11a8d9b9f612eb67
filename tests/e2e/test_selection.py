"""What is asked for comes, all of it and nothing else: -e, --calls, -p, -f.

counted.c says how often it did what; a busy process beside it does the same things all the time.
"""

import case
import swatd
from swatd import Trace


class Selected(case.GuestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.busy = cls.guest.start_busy("calls")

    def trace_of(self, *options, program="counted"):
        with Trace(self.guest, *options) as trace:
            pid, expected = self.count(program, 300)
        self.assertEqual(trace.status, swatd.OK, trace.diagnostics())
        self.assertEqual(trace.gaps(), [])
        return trace, pid, expected

    def names(self, trace, **fields):
        return {event["name"] for event in trace.events("syscall", **fields)}

    # System calls

    def test_system_calls_that_are_named(self):
        trace, pid, expected = self.trace_of("-e", "trace=openat,execve")
        self.assertEqual(len(trace.events("syscall", pid=pid, name="openat")), expected["openat"])
        self.assertEqual(len(trace.events("syscall", process="counted", name="execve")), 0)
        self.assertLessEqual(self.names(trace), {"openat", "execve"})

    def test_all_system_calls_but_some(self):
        trace, pid, expected = self.trace_of("-e", "!getpid,getppid", "--calls", "none")
        self.assertEqual(len(trace.events("syscall", pid=pid, name="openat")), expected["openat"])
        self.assertGreater(len(trace.events("syscall", pid=self.busy, name="gettid")), 0)
        self.assertEqual(self.names(trace) & {"getpid", "getppid"}, set())

    def test_of_32_bit_processes_too(self):
        trace, pid, expected = self.trace_of("-e", "getpid", program="counted32")
        self.assertEqual(len(trace.events("syscall", pid=pid, name="getpid")), expected["getpid"])
        self.assertEqual(self.names(trace), {"getpid"})

    def test_no_system_calls(self):
        trace, pid, expected = self.trace_of("-e", "none")
        self.assertEqual(trace.events("syscall"), [])
        self.assertEqual(len(trace.events("call", pid=pid, function="malloc")), expected["malloc"])

    # Calls

    def test_calls_of_one_function(self):
        trace, pid, expected = self.trace_of("--calls", "libc.so.6!strlen", "-e", "getpid")
        self.assertEqual(len(trace.events("call", pid=pid, function="strlen")), expected["strlen"])
        self.assertEqual({event["function"] for event in trace.events("call")}, {"strlen"})

    def test_calls_through_slots_that_are_bound_at_start(self):
        trace, pid, expected = self.trace_of("--calls", "libc.so.6!mal*", program="counted-now")
        self.assertEqual(len(trace.events("call", pid=pid, function="malloc")), expected["malloc"])
        others = {event["function"] for event in trace.events("call")
                  if not event["function"].startswith("mal")}
        self.assertEqual(others, set())

    def test_calls_of_a_module_that_nobody_has(self):
        trace, _, _ = self.trace_of("--calls", "libnone.so!*", "-e", "getpid")
        self.assertEqual(trace.events("call"), [])

    def test_no_calls(self):
        trace, pid, expected = self.trace_of("--calls", "none")
        self.assertEqual(trace.events("call"), [])
        self.assertEqual(len(trace.events("syscall", pid=pid, name="getpid")), expected["getpid"])

    # Processes

    def test_a_process_by_number(self):
        trace, _, _ = self.trace_of("-p", self.busy)
        self.assertEqual({event["pid"] for event in trace.events()}, {self.busy})
        self.assertGreater(len(trace.events("syscall", name="getpid")), 0)
        self.assertGreater(len(trace.events("call", function="strlen")), 0)

    def test_processes_by_name(self):
        trace, pid, expected = self.trace_of("-p", "counted")
        self.assertEqual({event["process"] for event in trace.events()}, {"counted"})
        for what in ("getpid", "openat"):
            self.assertEqual(len(trace.events("syscall", pid=pid, name=what)), expected[what])
        for what in ("strlen", "malloc"):
            self.assertEqual(len(trace.events("call", pid=pid, function=what)), expected[what])

    def trace_a_shell(self, *options):
        """(trace, the shell's pid, pid and counts of the grandchild that it came to have)."""
        self.guest.check("rm -f /run/go /run/done")
        shell = self.guest.spawn("until [ -e /run/go ]; do usleep 50000; done; counted 300;"
                                 " touch /run/done", "/run/out")
        with Trace(self.guest, "-p", shell, *options) as trace:
            self.guest.check("touch /run/go; until [ -e /run/done ]; do usleep 50000; done",
                             timeout=300)
        pid, expected = case.counted(self.guest.check("cat /run/out"))
        return trace, shell, pid, expected

    def test_children_are_followed(self):
        trace, shell, pid, expected = self.trace_a_shell("-f")
        for what in ("getpid", "openat"):
            self.assertEqual(len(trace.events("syscall", pid=pid, name=what)), expected[what])
        for what in ("strlen", "malloc"):
            self.assertEqual(len(trace.events("call", pid=pid, function=what)), expected[what])
        self.assertGreater(len(trace.events("syscall", pid=shell)), 0)
        self.assertEqual(trace.events(pid=self.busy), [])
        self.assertEqual(trace.events(pid=1), [])

    def test_children_are_left_out(self):
        trace, shell, _, _ = self.trace_a_shell()
        self.assertEqual({event["pid"] for event in trace.events()}, {shell})

    # What is refused

    def test_a_name_that_there_is_not(self):
        done = swatd.once(*swatd.connection(self.guest), "-e", "trace=exceve")
        self.assertEqual(done.returncode, swatd.USAGE)
        self.assertIn("'execve'", done.stderr)


if __name__ == "__main__":
    case.main()
