"""The same on the kernels of several Debian releases. SWAT_KERNELS: their series, in a row."""

import os

import case
import swatd
from guest import named
from swatd import Trace

# 5.10 keeps mappings in a list and a tree, since 6.1 in a maple tree. scripts/test --all adds more.
SERIES = os.environ.get("SWAT_KERNELS", "5.10 6.12").split()


class Kernel:
    def test_counts(self):
        for program in ("counted", "counted32"):
            with self.subTest(program), Trace(self.guest, "--names") as trace:
                pid, expected = self.count(program, 200)
            self.assertEqual(trace.gaps(), [])
            for what, times in expected.items():
                found = (trace.events("syscall", pid=pid, name=what)
                         + trace.events("call", pid=pid, function=what))
                self.assertEqual(len(found), times, f"{program} {what}")

    def test_ps_and_modules_equal_proc(self):
        pid = self.guest.start_dlopener(3)
        truth = self.guest.proc_truth()
        seen = swatd.ps(self.guest)
        for process in (1, 2, pid):
            self.assertEqual(seen[process], (truth[process]["ppid"], truth[process]["name"]))
        expected = named(truth[pid]["maps"])
        self.assertEqual(swatd.modules(self.guest, pid), {pid: expected})
        self.guest.check(f"kill {pid}")

    def test_doctor_names_the_release(self):
        release = self.guest.check("uname -r").strip()
        self.assertIn(release, swatd.output_of("doctor", *swatd.connection(self.guest)))


for series in SERIES:
    name = "Linux_" + series.replace(".", "_")
    globals()[name] = type(name, (Kernel, case.GuestCase), {"guest_options": {"kernel": series}})

if __name__ == "__main__":
    case.main()
