"""The same on a 32-bit x86 kernel: Debian's 6.1 for i686 with PAE; with SWAT_ALL set also its 5.10 and
6.5, without PAE, and on two vCPUs. The old ones are in test_old_kernels.py."""

import os

import case
import swatd
from swatd import Trace

CALLS = ("strlen", "malloc")
# i386: 686-pae; i386-686: without PAE. Debian has built no i386 kernel since 6.5.
ROWS = [("6.1", "i386")]
if os.environ.get("SWAT_ALL"):
    ROWS += [("6.5", "i386"), ("5.10", "i386"),
             ("6.5", "i386-686"), ("6.1", "i386-686"), ("5.10", "i386-686")]


class I386(case.EqualsProc):
    def assert_counts(self, trace, pid, expected, entry):
        self.assertEqual(trace.gaps(), [])
        for what, times in expected.items():
            if what in CALLS:
                events = trace.events("call", pid=pid, function=what)
            else:
                events = trace.events("syscall", pid=pid, name=what)
                self.assertEqual({event["entry"] for event in events}, {entry})
            self.assertEqual(len(events), times, what)

    def trace_of(self, program, *arguments):
        with Trace(self.guest, "--names") as trace:
            pid, expected = self.count(program, *arguments)
        return trace, pid, expected

    def test_int80(self):
        self.assert_counts(*self.trace_of("counted32", 50), "int80")

    def test_sysenter_through_the_vdso(self):
        self.assert_counts(*self.trace_of("counted32", 50, "vsyscall"), "sysenter")

    def test_calls_and_the_libc_s_system_calls(self):
        self.assert_counts(*self.trace_of("counted", 50), "sysenter")

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

    def test_doctor_names_the_release(self):
        release = self.guest.check("uname -r").strip()
        self.assertIn(release, swatd.output_of("doctor", *swatd.connection(self.guest)))


class SideBySide:
    """Programs at once, so that vCPUs come to their entries and calls at the same moment."""

    PROGRAMS = {"counted 100": "sysenter", "counted-now 100": "sysenter", "counted32 100": "int80",
                "counted32 100 vsyscall": "sysenter"}
    assert_counts = I386.assert_counts

    def test_counted_programs_side_by_side(self):
        files = {f"/run/{i}": command for i, command in enumerate(self.PROGRAMS)}
        together = " & ".join(f"{command} > {file}" for file, command in files.items())
        with Trace(self.guest, "--names") as trace:
            self.guest.check(f"{together} & wait", timeout=300)
        for file, command in files.items():
            pid, expected = case.counted(self.guest.check(f"cat {file}"))
            with self.subTest(command):
                self.assert_counts(trace, pid, expected, self.PROGRAMS[command])


for series, arch in ROWS:
    options = {"kernel": series, "arch": arch}
    trap = "break" if series == "6.1" else "table"  # Debian's 6.1 compares numbers
    name = f"Linux_{series}_{arch}".replace(".", "_").replace("-", "_")
    globals()[name] = type(name, (I386, case.GuestCase), {"guest_options": options, "trap": trap})
    if os.environ.get("SWAT_ALL"):
        name += "_on_two_vcpus"
        globals()[name] = type(name, (SideBySide, case.GuestCase),
                               {"guest_options": options | {"smp": 2}})

if __name__ == "__main__":
    case.main()
