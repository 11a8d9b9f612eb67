"""AArch64: the kernel and what it runs, system calls, their results, and library calls, each once.

tests/guests/counted.c knows what it did; /proc knows what is mapped, and strace what was returned.
With SWAT_ALL set, on more kernels.
"""

import case
import matrix
import swatd
from swatd import Trace
from test_returns import Returns
from test_static import StaticProgram


class Aarch64(matrix.RowChecks, Returns):
    # There is no such number: the kernel does not come to its table.
    unseen = frozenset(["syscall_0x270f"])
    test_of_a_shell = None

    def test_32_bit_callers_and_their_results(self):
        for way in ("eabi", "thumb"):
            with self.subTest(way):
                trace = self.assert_results_of_counted("counted-arm", 100, way)
                called = trace.events("syscall", process="counted-arm", name="getpid")
                self.assertEqual({(event["entry"], event["number"]) for event in called},
                                 {("svc", 20)})
                opened = trace.events("syscall", process="counted-arm", name="openat")
                self.assertEqual({int(event["args"][0], 16) for event in opened}, {0xFFFFFF9C})


class Kernel(StaticProgram, Aarch64):
    test_of_a_shell = Returns.test_of_a_shell if case.ALL else None

    def test_doctor_names_the_trap(self):
        said = swatd.output_of("doctor", *swatd.connection(self.guest))
        self.assertRegex(said, r"entry svc .*trap: table, 1 read watch")

    def test_32_bit_calls_as_strace_has_them(self):
        self.assert_same_as_strace("counted-arm 20")

    def test_modules_of_a_32_bit_process(self):
        pid = self.guest.spawn("exec counted-arm 1000000000")
        truth = [mapping for mapping in self.guest.proc_truth()[pid]["maps"] if mapping[4]]
        # Which is a mapping of the process here.
        self.assertLessEqual({"/bin/counted-arm", "[vectors]"}, {path for *_, path in truth})
        self.assertEqual(swatd.modules(self.guest, pid), {pid: truth})
        self.guest.check(f"kill {pid}; killall counted-arm; true")


class OneVcpu(Kernel):
    def test_fields_of_a_system_call(self):
        with Trace(self.guest, "--names") as trace:
            pid, _ = self.count("counted", 10)
        first = trace.events("syscall", pid=pid, name="openat")[0]
        self.assertEqual((first["entry"], first["number"], first["process"], first["tid"]),
                         ("svc", 56, "counted", pid))
        self.assertEqual(int(first["args"][0], 16) & 0xFFFFFFFF, 0xFFFFFF9C)  # AT_FDCWD
        self.assertIn(f"{first['as']}: svc 38 openat counted/{pid}", trace.log())

    def test_selected_system_calls_alone(self):
        with Trace(self.guest, "-e", "trace=openat", "--calls", "none") as trace:
            pid, expected = self.count("counted", 100)
        self.assertEqual({event["name"] for event in trace.events("syscall")}, {"openat"})
        self.assertEqual(len(trace.events("syscall", pid=pid)), expected["openat"])
        self.assertEqual(trace.events("call"), [])

    def test_by_breakpoints(self):
        with Trace(self.guest, "--traps", "break", "--calls", "none") as trace:
            pid, expected = self.count("counted", 20)
        syscalls = {what: times for what, times in expected.items() if what not in case.CALLS}
        self.assert_exact(trace, pid, syscalls)

    def test_a_function_by_name_is_seen_once(self):
        with Trace(self.guest, "--break", "libc.so.6!malloc", "-e", "none") as trace:
            pid, expected = self.count("counted", 20)
        self.assert_exact(trace, pid, {"malloc": expected["malloc"]})

    def test_what_it_cannot_do_it_says(self):
        for options in (["--returns=calls"], ["--returns", "--traps", "break"],
                        ["--traps", "exec-log"]):
            done = swatd.once(*swatd.connection(self.guest), *options, "--duration", 5)
            self.assertEqual(done.returncode, swatd.UNSUPPORTED, options)


class TwoVcpus(Aarch64):
    def test_results_of_programs_side_by_side(self):
        with Trace(self.guest, "--names", "--returns", "--calls", "none") as trace:
            self.guest.check("counted 200 > /run/a & counted-now 200 > /run/b & wait", timeout=300)
        self.assert_each_call_has_one_return(trace)
        for file in ("/run/a", "/run/b"):
            self.assert_counted_results(trace, *case.counted(self.guest.check(f"cat {file}")))


for row in matrix.debian_rows("arm64", "arm64-16k"):
    checks = TwoVcpus if row.smp > 1 else OneVcpu if row.in_ci else Kernel
    globals().update(matrix.class_of(row, checks, case.GuestCase))

if __name__ == "__main__":
    case.main()
