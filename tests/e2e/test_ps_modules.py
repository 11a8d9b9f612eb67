"""`swatd ps` and `swatd modules` against the guest's own /proc."""

import re

import case
import swatd
from guest import named


def kernel_name(name):
    """/proc embellishes kernel threads: what a kworker works for (since 4.18), and names longer
    than the 15 characters of the task's own (since 5.17)."""
    return (re.split(r"[-+]", name)[0] if name.startswith("kworker/") else name)[:15]


class PsAndModules(case.GuestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        guest = cls.guest
        cls.pids = [
            guest.start_busy(),
            guest.start_dlopener(3),
            guest.spawn("exec counted32 100000000"),
            # A name that /proc/PID/stat is ambiguous about, on another file system.
            guest.spawn("cp /bin/busy '/run/a b) (c'; exec '/run/a b) (c' /run/rounds2"),
            # Longer than the 15 characters that the kernel keeps.
            guest.spawn("cp /bin/busy /run/a_name_of_some_length; exec /run/a_name_of_some_length /run/rounds3"),
            # A program that is gone, on a file system mounted below another.
            guest.spawn("mkdir -p /run/x/y && mount -t tmpfs tmpfs /run/x/y && cp /bin/busy /run/x/y/gone"
                        " && exec /run/x/y/gone /run/rounds4"),
        ]
        guest.check("until [ -s /run/rounds2 -a -s /run/rounds3 -a -s /run/rounds4 ]; do :; done")
        guest.check("rm /run/x/y/gone")

    def stable_truth(self, ask):
        """(what `ask` returned, {pid: truth} of the processes that were there before and after)."""
        before = self.guest.proc_truth()
        answer = ask()
        after = self.guest.proc_truth()
        return answer, {pid: truth for pid, truth in after.items() if before.get(pid) == truth}

    def test_ps_equals_proc(self):
        seen, truth = self.stable_truth(lambda: swatd.ps(self.guest))
        self.assertLessEqual(set(self.pids), set(truth))
        expected = {pid: (t["ppid"], kernel_name(t["name"])) for pid, t in truth.items()}
        self.assertEqual({pid: seen.get(pid) for pid in expected}, expected)
        self.assertLessEqual(len(set(seen) - set(expected)), 2, "more processes than there are")

    def test_modules_equal_proc(self):
        seen, truth = self.stable_truth(lambda: swatd.modules(self.guest))
        for pid, process in truth.items():
            expected = named(process["maps"])
            with self.subTest(pid=pid, name=process["name"]):
                self.assertEqual(seen.get(pid, []), expected)

    def test_modules_of_one_process(self):
        for pid in self.pids:
            with self.subTest(pid=pid):
                seen, truth = self.stable_truth(lambda pid=pid: swatd.modules(self.guest, pid))
                self.assertEqual(seen, {pid: named(truth[pid]["maps"])})

    def test_a_process_that_is_not_there_is_an_error(self):
        done = swatd.once("modules", *swatd.connection(self.guest), "-p", 31999)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("31999", done.stderr)


if __name__ == "__main__":
    case.main()
