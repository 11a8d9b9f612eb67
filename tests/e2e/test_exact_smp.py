"""Every event once on several vCPUs, which QEMU stops together and reports one at a time.

Several programs count at once, so that vCPUs hit traps at the same moment. With SWAT_ALL set (as
scripts/test --all does) each is run five times.
"""

import case
from swatd import Trace
from test_exact import Exact


class SeveralVcpus(Exact):
    def assert_side_by_side(self, programs, options=(), leave_out=()):
        """`programs`: {what it runs: its system call entry}, all of them at once."""
        for run in range(case.RUNS):
            files = {f"/run/{i}": (command, entry)
                     for i, (command, entry) in enumerate(programs.items())}
            together = " & ".join(f"{command} > {file}" for file, (command, _) in files.items())
            with Trace(self.guest, "--names", *options) as trace:
                self.guest.check(f"{together} & wait", timeout=300)
            for file, (command, entry) in files.items():
                pid, expected = case.counted(self.guest.check(f"cat {file}"))
                expected = {k: n for k, n in expected.items() if k not in leave_out}
                with self.subTest(command, run=run):
                    self.assert_exact(trace, pid, expected, entry)

    def test_watches_side_by_side(self):
        self.assert_side_by_side({"counted 500": "syscall", "counted-now 500": "syscall",
                                  "counted-noplt 500": "syscall"})

    def test_watches_beside_breakpoints(self):
        self.assert_side_by_side({"counted 200": "syscall", "counted32 100": "int80"})

    def test_breakpoints_side_by_side(self):
        self.assert_side_by_side({"counted 50": "syscall", "counted-now 50": "syscall"},
                                 options=("--traps", "break"), leave_out=("strlen", "malloc"))


@case.quick("test_watches_side_by_side", "test_watches_beside_breakpoints")
class TwoVcpus(SeveralVcpus, case.GuestCase):
    guest_options = {"smp": 2}


@case.quick("test_breakpoints_side_by_side")
class FourVcpus(SeveralVcpus, case.GuestCase):
    guest_options = {"smp": 4}


if __name__ == "__main__":
    case.main()
