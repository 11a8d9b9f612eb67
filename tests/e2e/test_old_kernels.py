"""swatd on old x86 kernels, 2.4.27 to 5.8, of the folder that SWAT_GUESTS names (old_guest.py).

Each is attached to blind. ps and modules are held against the guest's own /proc, and a counted
program (counted32.c, counted64.c, uploaded through the console) must come out exact.
"""

import subprocess
import tempfile
import unittest
from pathlib import Path

import case
import matrix
from guest import ROOT
from swatd import Trace

ROWS = matrix.old_rows("i386", "x86_64")


def static_program(name, *options):
    """A small static program without a libc, so that every kernel runs it."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / name
        subprocess.run(["gcc", "-Os", *options, "-static", "-nostdlib", "-ffreestanding", "-fno-pie",
                        "-no-pie", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-s",
                        "-Wl,-N,--build-id=none,--no-warn-rwx-segments",
                        ROOT / f"tests/guests/{name}.c", "-o", program], check=True)
        return program.read_bytes()


class OldKernel(matrix.OldRowChecks):
    def assert_counts(self, program, options, entry):
        self.guest.upload(f"/{program}", static_program(program, *options))
        self.assert_traced(program, entry, "--names")

    def assert_traced(self, program, entry, *options, unseen=()):
        with Trace(self.guest, *options) as trace:
            pid, expected = case.counted(self.guest.run(f"/{program} 30", timeout=200))
        seen = {what: times for what, times in expected.items() if what not in unseen}
        self.assert_exact(trace, pid, seen, entry)
        for what in unseen:
            self.assertEqual(trace.events("syscall", pid=pid, name=what), [])
        return trace

    def test_counts_of_int80(self):
        self.assert_counts("counted32", ["-m32"], "int80")


class OldKernel32(OldKernel):
    # What a kernel has no handler for is not seen in its table. openat came with 2.6.16.
    UNSEEN = {"2.4.27": ["openat"]}

    def test_counts_of_int80(self):
        self.guest.upload("/counted32", static_program("counted32", "-m32"))
        unseen = self.UNSEEN.get(self.row.facts["kernel"], [])
        for options in (["--names"], ["-e", "getpid,openat"]):
            with self.subTest(options):
                trace = self.assert_traced("counted32", "int80", *options, unseen=unseen)
                self.assertRegex(trace.diagnostics(), r"int80 entry at .*: table, \d+ read watch")
        self.assert_traced("counted32", "int80", "--names", "--traps", "break")


class OldKernel64(OldKernel):
    def test_counts_of_syscall(self):
        self.assert_counts("counted64", ["-m64"], "syscall")


KINDS = {"i386": OldKernel32, "x86_64": OldKernel64}
for row in ROWS:
    globals().update(matrix.class_of(row, KINDS[row.facts["arch"]], unittest.TestCase))


class Folder(unittest.TestCase):
    def test_there_are_guests(self):
        if not ROWS:
            self.skipTest("SWAT_GUESTS names no folder of old kernels")


if __name__ == "__main__":
    case.main()
