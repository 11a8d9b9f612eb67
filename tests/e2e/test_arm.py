"""Linux on 32-bit ARM: what is known of the kernel and its processes equals what the guest says, and
counted programs come out exact; results are those that strace prints inside the guest.

Debian's 6.1 for armhf on a Cortex-A15; with SWAT_ALL set also on two vCPUs, with LPAE's page tables,
for armel, and other series; and all that does not take seconds. Old kernels of the folder that
SWAT_GUESTS names, 2.6.32 to 4.19 (old_guest.py).
"""

import unittest

import case
import matrix
import old_guest
import swatd
from swatd import Trace
from test_returns import Results, Returns
from test_static import StaticProgram


class Arm(StaticProgram, Returns, matrix.RowChecks):
    test_of_a_shell = Returns.test_of_a_shell if case.ALL else None

    @property
    def entry_has_word(self):
        """A word to watch; otherwise the table of handlers is."""
        return self.row.series == "5.10" or self.row.arch == "armel"

    @property
    def unseen(self):
        """What has no handler in the table."""
        return frozenset() if self.entry_has_word else {"syscall_0x270f", "set_tls", "cacheflush"}

    def visible(self, calls):
        """Where no handler of a signal has run, the kernel goes back to its table of handlers to restart a
        call, and not to the entry: seen there, it is one call, which ends as the last does."""
        calls = super().visible(calls)
        if not self.entry_has_word:
            return calls
        seen = []
        for name, end in calls:
            if seen and str(seen[-1][1]).startswith("ERESTART") and name in (seen[-1][0], "restart_syscall"):
                name = seen.pop()[0]
            seen.append((name, end))
        return seen

    def test_doctor_tells_how_tasks_are_told(self):
        said = swatd.output_of("doctor", *swatd.connection(self.guest))
        self.assertIn("running task: per-CPU offset", said)

    def test_fields_of_a_system_call(self):
        with Trace(self.guest, "--names", "--calls", "none") as trace:
            pid, _ = self.count("counted", 10)
        first = trace.events("syscall", pid=pid, name="openat")[0]
        self.assertEqual((first["entry"], first["number"], first["process"], first["tid"]),
                         ("svc", 322, "counted", pid))
        self.assertEqual(int(first["args"][0], 16), 0xFFFFFF9C)  # AT_FDCWD
        self.assertIn(f"{first['as']}: svc 142 openat counted/{pid}", trace.log())

    def test_what_it_cannot_do_it_says(self):
        for options in (["--returns=calls"], ["--returns", "--traps", "break"],
                        ["--traps", "exec-log"]):
            done = swatd.once(*swatd.connection(self.guest), *options, "--duration", 5)
            self.assertEqual(done.returncode, swatd.UNSUPPORTED, options)


class ArmAtLength(Arm):
    def test_counts_without_lazy_binding(self):
        for program in ("counted-now", "counted-noplt"):
            with self.subTest(program), Trace(self.guest, "--names") as trace:
                pid, expected = self.count(program, 200)
            if program == "counted-noplt":  # a pointer that a loop keeps is loaded once
                expected = {what: n for what, n in expected.items() if what not in case.CALLS}
            self.assert_exact(trace, pid, expected)

    def test_selected_system_calls_alone(self):
        with Trace(self.guest, "-e", "trace=openat", "--calls", "none") as trace:
            pid, expected = self.count("counted", 100)
        self.assertEqual({event["name"] for event in trace.events("syscall")}, {"openat"})
        self.assertEqual(len(trace.events("syscall", pid=pid)), expected["openat"])

    def test_by_breakpoints(self):
        with Trace(self.guest, "--traps", "break", "--calls", "none") as trace:
            pid, expected = self.count("counted", 20)
        self.assert_exact(trace, pid,
                          {what: n for what, n in expected.items() if what not in case.CALLS})
        self.assertTrue(trace.events("syscall", name="set_tls"))

    def test_a_function_by_name_is_seen_once(self):
        with Trace(self.guest, "--break", "libc.so.6!malloc", "-e", "none") as trace:
            pid, expected = self.count("counted", 20)
        self.assert_exact(trace, pid, {"malloc": expected["malloc"]})


for row in matrix.debian_rows("armhf", "armhf-lpae", "armel"):
    globals().update(matrix.class_of(row, ArmAtLength if case.ALL else Arm, case.GuestCase))


class OldKernel(Results, matrix.OldRowChecks):
    # Base of the numbers that the program's three ways in have; OABI is not in every kernel.
    BASES = {"eabi": 0, "thumb": 0, "oabi": 0x900000}

    def ways(self):
        has_oabi = not self.row.facts["name"].startswith("linux-3.18")
        return {way: base for way, base in self.BASES.items() if way != "oabi" or has_oabi}

    def setUp(self):
        # Every kernel from v5 on runs it.
        self.guest.upload("/counted_arm", old_guest.static_program(
            "counted_arm", "-march=armv5te", "-marm", "-mfloat-abi=soft",
            compiler="arm-linux-gnueabihf-gcc"))

    def test_results(self):
        for way in self.ways():
            with self.subTest(way), Trace(self.guest, "--returns", "--calls", "none") as trace:
                pid, expected = case.counted(
                    self.guest.run(f"/counted_arm 30 {way}", timeout=200))
            self.assert_counted_results(trace, pid, expected)
            self.assert_each_call_has_one_return(trace)

    def test_counts(self):
        for options in ([], ["-e", "trace=getpid,openat"], ["--traps", "break"]):
            for way, base in self.ways().items():
                with self.subTest(way, options=options):
                    with Trace(self.guest, "--names", *options) as trace:
                        said = self.guest.run(f"/counted_arm 30 {way}", timeout=200)
                        pid, expected = case.counted(said)
                    self.assertEqual(trace.gaps(), [])
                    for what, times in expected.items():
                        events = trace.events("syscall", pid=pid, name=what)
                        self.assertEqual({event["number"] & 0xFF0000 for event in events}, {base})
                        self.assertEqual(len(events), times, what)

    def test_doctor_tells_how_tasks_are_told(self):
        said = swatd.output_of("doctor", *swatd.connection(self.guest))
        self.assertIn("running task: per-CPU offset", said)


for row in matrix.old_rows("arm"):
    globals().update(matrix.class_of(row, OldKernel, unittest.TestCase))


if case.ALL:
    class Folder(unittest.TestCase):
        def test_there_are_guests(self):
            if not matrix.old_rows("arm"):
                self.skipTest("SWAT_GUESTS names no folder of old kernels")


if __name__ == "__main__":
    case.main()
