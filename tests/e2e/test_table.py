"""Selected system calls by traps behind the entry: a watch over slots of the kernel's table, or
breakpoints on handlers where the kernel has none; exact, and unselected calls stop nobody.

5.10 reads a table; Debian's 6.1 compares numbers, as all kernels since 6.9 do. With SWAT_ALL set
programs side by side are run five times.
"""

import re
import time

import case
import swatd
from swatd import Trace


def stops(trace):
    """(all stops, those that were no event), as swatd counts them."""
    found = re.search(r"(\d+) stops, (\d+) of them no event", trace.diagnostics())
    return int(found[1]), int(found[2])


class Table:
    COUNT = 300

    def trace_of(self, *program, options):
        with Trace(self.guest, "--traps", "table", *options) as trace:
            pid, expected = self.count(*program)
        self.assertEqual(trace.status, swatd.OK, trace.diagnostics())
        self.assertEqual(trace.gaps(), [])
        return trace, pid, expected

    def assert_exact(self, trace, pid, expected, entry="syscall"):
        for what in ("getpid", "openat"):
            events = trace.events("syscall", pid=pid, name=what)
            self.assertEqual(len(events), expected[what], what)
            self.assertEqual({event["entry"] for event in events}, {entry})
        self.assertLessEqual({event["name"] for event in trace.events("syscall")},
                             {"getpid", "openat"})

    def test_the_kernel_is_seen_for_what_it_is(self):
        trace, _, _ = self.trace_of("counted", 1, options=["-e", "getpid"])
        self.assertRegex(trace.diagnostics(), f"syscall entry .* table, .*{self.points}")

    def wait_for(self, trace, text):
        deadline = time.monotonic() + 20
        while not re.search(text, trace.diagnostics()):
            self.assertLess(time.monotonic(), deadline, trace.diagnostics())
            time.sleep(0.02)

    def test_a_busy_guest_proves_the_traps(self):
        busy = self.guest.start_busy()
        for options in (["-e", "execve"], []):
            with self.subTest(options):
                with Trace(self.guest, *options) as trace:
                    self.wait_for(trace, r"syscall entry, \w+: noticed 8 of 8 that a breakpoint saw")
                    self.assert_progress()
                self.assertEqual(trace.gaps(), [])
        self.guest.check(f"kill {busy}")

    def test_an_idle_guest_proves_nothing_and_runs_on(self):
        with Trace(self.guest, "-e", "execve", "--calls", "none") as trace:
            self.wait_for(trace, "int80 entry, table: unproven: nobody came this way")
            self.assertTrue(self.guest.running())
            self.guest.check("env true")
        # env and true; the shell that runs the line, and cat, which returns what it said.
        self.assertEqual(len(trace.events("syscall", name="execve")), 4)

    def test_64_bit(self):
        trace, pid, expected = self.trace_of("counted", self.COUNT,
                                             options=["-e", "getpid,openat"])
        self.assert_exact(trace, pid, expected)
        for what in ("strlen", "malloc"):
            self.assertEqual(len(trace.events("call", pid=pid, function=what)), expected[what])

    def test_arguments(self):
        trace, pid, _ = self.trace_of("counted", 3, options=["-e", "openat", "--calls", "none"])
        for event in trace.events("syscall", pid=pid):
            self.assertEqual(event["number"], 257)
            self.assertEqual(int(event["args"][0], 16) & 0xFFFFFFFF, 0xFFFFFF9C)  # AT_FDCWD
            self.assertEqual(int(event["args"][2], 16), 0)  # O_RDONLY

    def test_32_bit_through_int80(self):
        trace, pid, expected = self.trace_of("counted32", self.COUNT,
                                             options=["-e", "getpid,openat", "--calls", "none"])
        self.assert_exact(trace, pid, expected, "int80")
        event = trace.events("syscall", pid=pid, name="openat")[0]
        self.assertEqual(int(event["args"][0], 16), 0xFFFFFF9C)
        self.assertEqual(int(event["args"][2], 16), 0)

    def test_32_bit_through_the_vdso(self):
        trace, pid, expected = self.trace_of("counted32", self.COUNT, "vsyscall",
                                             options=["-e", "getpid,openat", "--calls", "none"])
        self.assert_exact(trace, pid, expected, self.vdso_entry)

    def test_nobody_else_is_stopped(self):
        busy = self.guest.start_busy()
        with Trace(self.guest, "-e", "execve", "--calls", "none") as trace:
            before = self.guest.rounds()
            self.guest.check("for i in 1 2 3 4 5; do env true; done")
            while self.guest.rounds() < before + 20000:
                pass
        self.guest.check(f"kill {busy}")
        self.assertRegex(trace.diagnostics(), "syscall entry .* table, ")
        # env and true, five times; the shell that runs the line, and cat, which returns what it said.
        self.assertEqual(len(trace.events("syscall", name="execve")), 12)
        self.assertEqual({event["name"] for event in trace.events("syscall")}, {"execve"})
        every, idle = stops(trace)
        self.assertLess(every, 200)  # busy alone made 80 000 calls
        # What exits is noticed without being asked for: once a process.
        self.assertLessEqual(idle, every - 12)


class OfATable(Table, case.GuestCase):
    guest_options = {"kernel": "5.10"}
    points = "read watch"
    vdso_entry = "syscall"  # QEMU's default CPU is an AMD one


@case.quick("test_64_bit", "test_32_bit_through_int80", "test_32_bit_through_the_vdso")
class OfAnIntelCpu(Table, case.GuestCase):
    guest_options = {"kernel": "5.10", "cpu": "Haswell", "append": "pti=on"}
    points = "read watch"
    vdso_entry = "sysenter"


class OfComparisons(Table, case.GuestCase):
    COUNT = 50  # breakpoints: QEMU up to 10.1 flushes its translations at each
    points = "breakpoint"
    vdso_entry = "syscall"


class SeveralVcpus:
    COUNT = 500
    PROGRAMS = {"counted": "syscall", "counted-now": "syscall", "counted32": "int80"}

    def test_side_by_side(self):
        files = {f"/run/{name}": (name, entry) for name, entry in self.PROGRAMS.items()}
        programs = " & ".join(f"{name} {self.COUNT} > {file}" for file, (name, _) in files.items())
        for run in range(case.RUNS):
            with Trace(self.guest, "--traps", "table", "-e", "getpid,openat") as trace:
                self.guest.check(f"{programs} & wait", timeout=300)
            for file, (name, entry) in files.items():
                pid, expected = case.counted(self.guest.check(f"cat {file}"))
                for what, times in expected.items():
                    with self.subTest(name, run=run, what=what):
                        events = (trace.events("syscall", pid=pid, name=what, entry=entry)
                                  + trace.events("call", pid=pid, function=what))
                        self.assertEqual(len(events), times)


@case.quick()
class OfATableOnTwoVcpus(SeveralVcpus, case.GuestCase):
    guest_options = {"kernel": "5.10", "smp": 2}


class OfATableOnFourVcpus(SeveralVcpus, case.GuestCase):
    guest_options = {"kernel": "5.10", "smp": 4}


@case.quick()
class OfComparisonsOnFourVcpus(SeveralVcpus, case.GuestCase):
    guest_options = {"smp": 4}
    COUNT = 50


if __name__ == "__main__":
    case.main()
