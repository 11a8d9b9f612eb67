"""The same on 32-bit x86 kernels: Debian's 6.1 for i686 with PAE; with SWAT_ALL set also its 5.10 and
6.5, without PAE, and on two vCPUs. The old ones are in test_old_kernels.py."""

import dataclasses

import case
import matrix
from swatd import Trace
from test_returns import Results, Returns
from test_static import StaticProgram


class I386(Results, StaticProgram, matrix.RowChecks):
    def trace_of(self, program, *arguments):
        with Trace(self.guest, "--names") as trace:
            pid, expected = self.count(program, *arguments)
        return trace, pid, expected

    def test_sysenter_through_the_vdso(self):
        self.assert_exact(*self.trace_of("counted32", 50, "vsyscall"), "sysenter")

    def test_results_of_both_ways(self):
        for way, entry in (([], "int80"), (["vsyscall"], "sysenter")):
            trace = self.assert_results_of_counted("counted32", 20, *way)
            self.assert_each_call_has_one_return(trace)
            self.assertEqual({event["entry"] for event in trace.events("return", name="openat")
                              if event["process"] == "counted32"}, {entry})

    def test_the_cheapest_trap_is_taken(self):
        trace, _, _ = self.trace_of("counted32", 5)
        self.assertRegex(trace.diagnostics(), rf"int80 entry at .*: {self.trap}, \d+ ")
        self.assertEqual(trace.gaps(), [])  # it has missed nothing

    def test_selected_calls(self):
        for program, entry in ((["counted32", 20], "int80"), (["counted", 20], "sysenter")):
            with Trace(self.guest, "-e", "getpid,openat", "--calls", "none") as trace:
                pid, expected = self.count(*program)
            for what in ("getpid", "openat"):
                events = trace.events("syscall", pid=pid, name=what, entry=entry)
                self.assertEqual(len(events), expected[what], what)

    def test_arguments(self):
        trace, pid, _ = self.trace_of("counted32", 5)
        first = trace.events("syscall", pid=pid, name="openat")[0]
        self.assertEqual(first["number"], 295)
        self.assertEqual(int(first["args"][0], 16), 0xFFFFFF9C)  # AT_FDCWD
        self.assertEqual(first["process"], "counted32")


class I386AtLength(I386, Returns):
    @property
    def unseen(self):
        """What has no handler in the table."""
        return frozenset({"syscall_0x270f"} if self.trap == "table" else ())


class SideBySide(Results, case.Counted):
    """Programs at once, so that vCPUs come to their entries and calls at the same moment."""

    PROGRAMS = {"counted 100": "sysenter", "counted-now 100": "sysenter", "counted32 100": "int80",
                "counted32 100 vsyscall": "sysenter"}

    def test_counted_programs_side_by_side(self):
        files = {f"/run/{i}": command for i, command in enumerate(self.PROGRAMS)}
        together = " & ".join(f"{command} > {file}" for file, command in files.items())
        with Trace(self.guest, "--names", "--returns") as trace:
            self.guest.check(f"{together} & wait", timeout=300)
        self.assert_each_call_has_one_return(trace)
        for file, command in files.items():
            pid, expected = case.counted(self.guest.check(f"cat {file}"))
            with self.subTest(command):
                self.assert_exact(trace, pid, expected, self.PROGRAMS[command])
                self.assert_counted_results(trace, pid, expected)


for row in matrix.debian_rows("i386", "i386-686"):
    trap = "break" if row.series == "6.1" else "table"  # Debian's 6.1 compares numbers
    checks = I386AtLength if case.ALL else I386
    globals().update(matrix.class_of(row, checks, case.GuestCase, trap=trap))
    if case.ALL:
        on_two = dataclasses.replace(row, smp=2)
        globals().update(matrix.class_of(on_two, SideBySide, case.GuestCase))

if __name__ == "__main__":
    case.main()
