"""Page-table isolation: the entries are the same, the address space at them is the user's."""

import case
import swatd
from swatd import Trace


class Isolation:
    def test_counts(self):
        for program, entry in ((["counted", 200], "syscall"), (["counted32", 200], "int80"),
                               (["counted32", 200, "vsyscall"], "sysenter")):  # an Intel CPU
            with self.subTest(program), Trace(self.guest, "--names") as trace:
                pid, expected = self.count(*program)
            self.assertEqual(trace.gaps(), [])
            for what, times in expected.items():
                kind = "call" if what in ("strlen", "malloc") else "syscall"
                field = "function" if kind == "call" else "name"
                events = trace.events(kind, pid=pid, **{field: what})
                self.assertEqual(len(events), times, f"{program} {what}")
                if kind == "syscall":
                    self.assertEqual({event["entry"] for event in events}, {entry})

    def test_it_is_what_the_kernel_says(self):
        path = "/sys/devices/system/cpu/vulnerabilities/meltdown"
        self.assertIn(self.meltdown, self.guest.check(f"cat {path}"))

    def test_ps(self):
        self.assertEqual(swatd.ps(self.guest)[1], (0, "init"))


class On(Isolation, case.GuestCase):
    guest_options = {"cpu": "Haswell", "append": "pti=on"}
    meltdown = "Mitigation: PTI"


class Off(Isolation, case.GuestCase):
    guest_options = {"cpu": "Haswell", "append": "nopti"}
    meltdown = "Vulnerable"


if __name__ == "__main__":
    case.main()
