"""A stub that serves another client, on another host: swatd cannot see that before it connects.

QEMU accepts the connection of the swatd that gave up long ago once the other client has gone, and
stops the guest for it. It must not stay stopped.
"""

import subprocess
import time

import case
import swatd
from gdbclient import RspClient
from proxy import Proxy


class Busy(case.GuestCase):
    abrupt = False

    def setUp(self):
        self.guest.start_busy()
        self.proxy = self.enterContext(Proxy(self.guest.gdb_address, abrupt=self.abrupt))
        self.holder = RspClient(self.guest.gdb_address)
        self.guest.monitor.forget_events()

    def refuse(self, *options):
        done = swatd.once("ps", "--no-profile-cache", "--gdb", self.proxy.address, *options)
        self.assertEqual(done.returncode, swatd.BUSY, done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def assert_stopped_and_resumed(self, times, within=10):
        """The stub has let go of the guest so often, the holder's own time included; it runs."""
        deadline = time.monotonic() + within
        while self.guest.monitor.count_events("RESUME") < times:
            self.assertLess(time.monotonic(), deadline, self.guest.qmp("query-status"))
            time.sleep(0.02)
        self.assertTrue(self.guest.running())
        self.assert_progress()

    def assert_next_works(self):
        self.assertIn("init", swatd.output_of("ps", "--no-profile-cache", "--gdb", self.proxy.address))
        self.assert_progress()

    def test_other_client_detaches(self):
        self.refuse()
        self.assertTrue(self.holder.ask("qC").startswith("QC"))  # and still holds it
        self.assertFalse(self.guest.running())
        self.holder.close()
        self.assert_stopped_and_resumed(2)
        self.assert_next_works()

    def test_other_client_dies(self):
        self.refuse()
        self.holder.abandon()
        self.assert_stopped_and_resumed(1)
        self.assert_next_works()

    def test_refused_twice(self):
        self.refuse()
        self.refuse()
        self.holder.close()
        self.assert_stopped_and_resumed(3)
        self.assert_next_works()

    def test_killed_while_it_waits(self):
        waiting = subprocess.Popen([swatd.SWATD, "ps", "--no-profile-cache", "--gdb", self.proxy.address],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        while self.proxy.clients == 0:
            time.sleep(0.02)
        waiting.kill()
        waiting.wait()
        while self.proxy.clients == 1:  # its guardian waits now
            time.sleep(0.02)
        self.holder.close()
        swatd.wait_for_guardians(self.proxy.address)
        self.assertTrue(self.guest.running())
        self.assert_next_works()

    def test_monitor_tells_before_it_connects(self):
        self.refuse("--qmp", self.guest.qmp_address)
        self.assertEqual(self.proxy.clients, 0)
        self.holder.close()
        self.assert_stopped_and_resumed(1)
        self.assertEqual(self.guest.monitor.count_events("STOP"), 0)
        self.assert_next_works()


class BusyWithoutAProxysPatience(Busy):
    abrupt = True


if __name__ == "__main__":
    case.main()
