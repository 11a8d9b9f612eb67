"""A VM started without -gdb: swatd starts the stub over QMP, and stops it when it leaves."""

import case
import swatd
from swatd import Trace


class QmpOnly(case.GuestCase):
    guest_options = {"gdb": False}

    @property
    def connect(self):
        return swatd.connection(self.guest, gdb=False)

    def assert_no_stub(self):
        """The stub is a character device while it is there."""
        labels = {device["label"] for device in self.guest.qmp("query-chardev")}
        self.assertEqual({label for label in labels if "gdb" in label}, set())

    def test_ps(self):
        seen = swatd.ps(self.guest, connect=self.connect)
        self.assertEqual(seen[1], (0, "init"))
        self.assert_no_stub()

    def test_trace(self):
        with Trace(self.guest, "--names", connect=self.connect) as trace:
            pid, expected = self.count("counted", 100)
        self.assertEqual(trace.status, swatd.OK, trace.diagnostics())
        for what in ("getpid", "openat"):
            self.assertEqual(len(trace.events("syscall", pid=pid, name=what)), expected[what])
        for what in ("strlen", "malloc"):
            self.assertEqual(len(trace.events("call", pid=pid, function=what)), expected[what])
        self.assert_no_stub()

    def test_twice(self):
        for _ in range(2):
            done = swatd.once(*self.connect, "--duration", 1)
            self.assertEqual(done.returncode, swatd.OK, done.stderr)
            self.assert_no_stub()


if __name__ == "__main__":
    case.main()
