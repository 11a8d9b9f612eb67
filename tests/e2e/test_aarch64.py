"""AArch64: the kernel and what it runs, system calls, their results, and library calls, each once.

tests/guests/counted.c knows what it did; /proc knows what is mapped, and strace what was returned.
With SWAT_ALL set, the kernels of SWAT_KERNELS as well.
"""

import os

import case
import swatd
from swatd import Trace
from test_returns import Returns

CALLS = ("strlen", "malloc")


class Aarch64:
    def assert_exact(self, trace, pid, expected):
        self.assertEqual(trace.gaps(), [])
        for what, times in expected.items():
            found = (trace.events("call", pid=pid, function=what) if what in CALLS
                     else trace.events("syscall", pid=pid, name=what))
            self.assertEqual(len(found), times, what)

    def test_counts_with_lazy_binding_and_without(self):
        for program in ("counted", "counted-now"):
            with self.subTest(program), Trace(self.guest, "--names") as trace:
                pid, expected = self.count(program, 300)
            self.assert_exact(trace, pid, expected)
            for event in trace.events("call", pid=pid, function="strlen"):
                self.assertEqual((event["module"], event["caller_module"]),
                                 ("libc.so.6", program))

    def test_32_bit_callers_and_their_results(self):
        for way in ("eabi", "thumb"):
            with self.subTest(way):
                trace = self.assert_results_of_counted("counted-arm", 100, way)
                called = trace.events("syscall", process="counted-arm", name="getpid")
                self.assertEqual({(event["entry"], event["number"]) for event in called},
                                 {("svc", 20)})
                opened = trace.events("syscall", process="counted-arm", name="openat")
                self.assertEqual({int(event["args"][0], 16) for event in opened}, {0xFFFFFF9C})


class Kernel(Aarch64, case.EqualsProc, Returns):
    # There is no such number: the kernel does not come to its table.
    unseen = frozenset(["syscall_0x270f"])

    def test_doctor_names_the_kernel_and_the_trap(self):
        release = self.guest.check("uname -r").strip()
        said = swatd.output_of("doctor", *swatd.connection(self.guest))
        self.assertIn(f"Linux version {release} ", said)
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


class OneVcpu(Kernel, case.GuestCase):
    guest_options = {"arch": "arm64"}
    test_of_a_shell = Returns.test_of_a_shell if os.environ.get("SWAT_ALL") else None

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
        syscalls = {what: times for what, times in expected.items() if what not in CALLS}
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


class TwoVcpus(Aarch64, Returns, case.GuestCase):
    guest_options = {"arch": "arm64", "smp": 2}
    unseen = Kernel.unseen
    test_of_a_shell = None

    def test_results_of_programs_side_by_side(self):
        with Trace(self.guest, "--names", "--returns", "--calls", "none") as trace:
            self.guest.check("counted 200 > /run/a & counted-now 200 > /run/b & wait", timeout=300)
        self.assert_each_call_has_one_return(trace)
        for file in ("/run/a", "/run/b"):
            self.assert_counted_results(trace, *case.counted(self.guest.check(f"cat {file}")))


OTHERS = [("arm64", series) for series in os.environ.get("SWAT_KERNELS", "").split()]
OTHERS += [("arm64-16k", "newest")]
for arch, series in OTHERS if os.environ.get("SWAT_ALL") else []:
    name = f"Linux_{series}_{arch}".replace(".", "_").replace("-", "_")
    globals()[name] = type(name, (Kernel, case.GuestCase),
                           {"guest_options": {"arch": arch, "kernel": series}})


if __name__ == "__main__":
    case.main()
