"""The ways to guest RAM: each is taken where it should be, and all say the same."""

import tempfile

import case
import swatd
from guest import named


class Backends:
    """For each guest: which way `doctor` reports, and that what is read through it is true."""

    def connect(self, *options):
        return [*swatd.connection(self.guest), *options]

    def assert_true_through(self, *options):
        pid = self.guest.start_busy()
        truth = self.guest.proc_truth()
        connect = self.connect(*options)
        self.assertEqual(swatd.ps(self.guest, connect)[pid], (1, "busy"))
        expected = named(truth[pid]["maps"])
        self.assertEqual(swatd.modules(self.guest, pid, connect), {pid: expected})
        functions = swatd.functions(self.guest, pid, connect=connect)
        self.guest.check(f"kill {pid}")
        # Addresses differ from process to process; names and how they are spaced do not.
        libc = sorted((address, name, version) for address, module, name, version in functions
                      if module == "libc.so.6")
        return [(address - libc[0][0], name, version) for address, name, version in libc]

    def test_its_own_way_and_the_stub_agree(self):
        self.assertIn(f"RAM: {self.way}", swatd.output_of("doctor", *self.connect()))
        own = self.assert_true_through()
        self.assertGreater(len(own), 2000)
        self.assertEqual(self.assert_true_through("--ram", "stub"), own)
        self.assertEqual(self.assert_true_through("--ram", "process"), own)

    def test_counts_through_the_stub(self):
        with swatd.Trace(self.guest, connect=self.connect("--ram", "stub")) as trace:
            pid, expected = self.count("counted", 50)
        self.assertEqual(len(trace.events("syscall", pid=pid, name="getpid")), expected["getpid"])
        self.assertEqual(len(trace.events("call", pid=pid, function="malloc")), expected["malloc"])


class PrivateRam(Backends, case.GuestCase):
    way = "process"


class SharedMemfd(Backends, case.GuestCase):
    way = "file"
    guest_options = {"machine_args": ["-object", "memory-backend-memfd,id=ram,size=256M,share=on",
                                      "-machine", "memory-backend=ram"]}


class SharedFile(Backends, case.GuestCase):
    way = "file"

    @classmethod
    def setUpClass(cls):
        file = tempfile.NamedTemporaryFile(prefix="swatd-ram-")
        cls.addClassCleanup(file.close)
        cls.guest_options = {"machine_args": [
            "-object", f"memory-backend-file,id=ram,size=256M,share=on,mem-path={file.name}",
            "-machine", "memory-backend=ram"]}
        super().setUpClass()


class AboveFourGigabytes(Backends, case.GuestCase):
    """RAM on both sides of the hole below 4 GiB; the kernel puts much of its own above."""

    way = "process"
    guest_options = {"memory": "5G"}


if __name__ == "__main__":
    case.main()
