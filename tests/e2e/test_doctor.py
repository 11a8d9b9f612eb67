"""What swatd doctor says that a setup lacks, on setups that lack it."""

import os
import shutil
import subprocess
import tempfile
import unittest

import case
import swatd

SHARED = ["-object", "memory-backend-memfd,id=ram,size=256M,share=on", "-machine", "memory-backend=ram"]


def lacks(text):
    return [line.removeprefix("lacks: ") for line in text.splitlines() if line.startswith("lacks: ")]


class Complete(case.GuestCase):
    guest_options = {"machine_args": SHARED}

    def test_lacks_nothing(self):
        said = lacks(swatd.output_of("doctor", *swatd.connection(self.guest)))
        if os.cpu_count() > 1:
            self.assertEqual(said, ["nothing"])
        else:
            self.assertTrue(len(said) == 1 and said[0].startswith("a CPU for swatd"), said)

    def test_without_qmp_lacks_a_monitor(self):
        text = swatd.output_of("doctor", *swatd.connection(self.guest, qmp=False))
        self.assertTrue(lacks(text)[0].startswith("a QMP monitor"), text)
        self.assertIn("-qmp unix:PATH,server=on,wait=off", text)

    def test_that_qemu_cannot_write_for_us_is_told(self):
        # By a folder in a mount namespace of swatd's own, as systemd's PrivateTmp= makes one.
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {folder} && exec "$@"', "sh",
                 swatd.SWATD, "doctor", *swatd.connection(self.guest)],
                env={**os.environ, "TMPDIR": folder}, stdin=subprocess.DEVNULL, text=True, timeout=60,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("set TMPDIR", done.stdout)


class PrivateRam(case.GuestCase):
    def test_lacks_a_shared_file(self):
        text = swatd.output_of("doctor", *swatd.connection(self.guest))
        self.assertTrue(any("shared file" in lack for lack in lacks(text)), text)
        self.assertIn("share=on -machine memory-backend=ram", text)

    def test_what_the_user_has_chosen_is_not_missed(self):
        text = swatd.output_of("doctor", *swatd.connection(self.guest), "--ram", "stub")
        self.assertFalse(any("RAM" in lack for lack in lacks(text)), text)


class Unconnected(unittest.TestCase):
    def test_a_socket_that_is_missing(self):
        done = swatd.once("doctor", "--gdb", "unix:/nonexistent/vm.gdb")
        self.assertEqual(done.returncode, swatd.CANNOT_CONNECT)
        self.assertEqual(lacks(done.stdout), ["the socket /nonexistent/vm.gdb"])
        self.assertIn("-gdb unix:/nonexistent/vm.gdb,server=on,wait=off", done.stdout)

    def test_a_trace_says_no_more_than_what_failed(self):
        done = swatd.once("--gdb", "unix:/nonexistent/vm.gdb")
        self.assertEqual((done.returncode, done.stdout), (swatd.CANNOT_CONNECT, ""))


class OtherUsers:
    """swatd as another user than QEMU, which is root here, with no more rights than are named.

    For a GuestCase: `best_way` is the best back end for its RAM.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A copy that anybody may run, and sockets that anybody may connect to.
        cls.program = cls.guest.path / "swatd"
        shutil.copy(swatd.SWATD, cls.program)
        for path, mode in (cls.guest.path, 0o755), (cls.program, 0o755):
            path.chmod(mode)

    def doctor(self, *rights):
        for name in "gdb", "qmp":
            (self.guest.path / name).chmod(0o666)
        capabilities = ",".join(f"+{right}" for right in rights)
        given = [f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"] if rights else []
        done = subprocess.run(
            ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *given, "--",
             self.program, "doctor", *swatd.connection(self.guest)],
            stdin=subprocess.DEVNULL, text=True, timeout=60, env={**os.environ, "HOME": "/nonexistent"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_without_rights_ram_comes_through_the_stub(self):
        text = self.doctor()
        self.assertIn("RAM: stub", text)
        self.assertIn("the right to look at QEMU's process, which is root's", text)
        self.assertIn("run swatd as root", text)

    def test_two_capabilities_are_enough(self):
        text = self.doctor("sys_ptrace", "dac_read_search")
        self.assertIn(f"RAM: {self.best_way}", text)
        self.assertFalse(any("right" in lack for lack in lacks(text)), text)


class OtherUsersPrivateRam(OtherUsers, case.GuestCase):
    best_way = "process"


class OtherUsersSharedRam(OtherUsers, case.GuestCase):
    guest_options = {"machine_args": SHARED}
    best_way = "file"

    def test_without_a_socket_that_it_may_write(self):
        (self.guest.path / "gdb").chmod(0o700)
        done = subprocess.run(
            ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--", self.program,
             "doctor", "--gdb", self.guest.gdb_address], stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, swatd.CANNOT_CONNECT)
        self.assertIn(f"the right to write {self.guest.path}/gdb, which is root's", done.stdout)


if os.geteuid() != 0:
    print("Other users are not tested: that takes root")
    del OtherUsersPrivateRam, OtherUsersSharedRam
    del Complete.test_that_qemu_cannot_write_for_us_is_told

if __name__ == "__main__":
    case.main()
