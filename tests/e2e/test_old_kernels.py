"""swatd on old x86 kernels, 2.4.27 to 5.8, and AArch64 4.4, of SWAT_GUESTS' folder (old_guest.py).

Each is attached to blind. ps and modules are held against the guest's own /proc, and a counted
program (counted32.c, counted64.c, counted_aarch64.c, uploaded through the console) must come out exact.
"""

import errno
import unittest

import case
import matrix
from old_guest import static_program
from swatd import Trace
from test_returns import Results

ROWS = matrix.old_rows("i386", "x86_64", "aarch64")


class OldKernel(matrix.OldRowChecks):
    def upload(self, program, *options, compiler="gcc"):
        self.guest.upload(f"/{program}", static_program(program, *options, compiler=compiler))

    def assert_counts(self, program, options, entry):
        self.upload(program, *options)
        self.assert_traced(program, entry, "--names")

    def assert_traced(self, program, entry, *options, unseen=()):
        with Trace(self.guest, *options) as trace:
            pid, expected = case.counted(self.guest.run(f"/{program} 30", timeout=200))
        seen = {what: times for what, times in expected.items() if what not in unseen}
        self.assert_exact(trace, pid, seen, entry)
        for what in unseen:
            self.assertEqual(trace.events("syscall", pid=pid, name=what), [])
        return trace


class OldKernel32(Results, OldKernel):
    # Without a vDSO there is no SYSENTER.
    WAYS = {"2.4.27": [""]}

    def test_counts_of_int80(self):
        self.upload("counted32", "-m32")
        for options in (["--names"], ["-e", "getpid,openat"]):
            with self.subTest(options):
                trace = self.assert_traced("counted32", "int80", *options, unseen=self.no_handler)
                self.assertRegex(trace.diagnostics(), r"int80 entry at .*: table, \d+ read watch")
        self.assert_traced("counted32", "int80", "--names", "--traps", "break")

    def test_results(self):
        self.upload("counted32", "-m32")
        kernel = self.row.facts["kernel"]
        for way in self.WAYS.get(kernel, ["", "vsyscall"]):
            with self.subTest(way), Trace(self.guest, "--returns", "--calls", "none") as trace:
                pid, expected = case.counted(self.guest.run(f"/counted32 30 {way}", timeout=200))
            self.assert_counted_results(trace, pid,
                                        {"getpid": 0, "openat": 0} | self.seen(expected))
            self.assert_each_call_has_one_return(trace)


class OldKernel64(OldKernel):
    def test_counts_of_int80(self):
        self.assert_counts("counted32", ["-m32"], "int80")

    def test_counts_of_syscall(self):
        self.assert_counts("counted64", ["-m64"], "syscall")


class OldAarch64(OldKernel):
    def setUp(self):
        self.upload("counted_aarch64", compiler="aarch64-linux-gnu-gcc")

    def test_counts_of_svc(self):
        for options in (["--names"], ["-e", "getpid,openat"], ["--names", "--traps", "break"]):
            with self.subTest(options):
                self.assert_traced("counted_aarch64", "svc", *options)

    def test_fields_of_a_system_call(self):
        for trap in ("table", "break"):
            with self.subTest(trap):
                trace = self.assert_traced("counted_aarch64", "svc", "--names", "--traps", trap)
                opened = trace.events("syscall", process="counted_aarch64", name="openat")
                self.assertEqual({event["number"] for event in opened}, {56})
                self.assertEqual({int(event["args"][0], 16) & 0xFFFFFFFF for event in opened},
                                 {0xFFFFFF9C})  # AT_FDCWD

    def test_results(self):
        with Trace(self.guest, "--names", "--returns") as trace:
            pid, expected = case.counted(self.guest.run("/counted_aarch64 30", timeout=200))
        for name, result in (("getpid", pid), ("openat", -errno.ENOENT)):
            results = [event["result"] for event in trace.events("return", pid=pid, name=name)]
            self.assertEqual(results, [result] * expected[name])


KINDS = {"i386": OldKernel32, "x86_64": OldKernel64, "aarch64": OldAarch64}
for row in ROWS:
    globals().update(matrix.class_of(row, KINDS[row.facts["arch"]], unittest.TestCase))


class Folder(unittest.TestCase):
    def test_there_are_guests(self):
        if not ROWS:
            self.skipTest("SWAT_GUESTS names no folder of old kernels")


if __name__ == "__main__":
    case.main()
