"""How swatd begins and ends: exit codes, one clear line, and a guest left as it was found."""

import random
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import case
import swatd
from gdbclient import RspClient
from guest import Guest
from machines import QEMU
from swatd import Trace


class Endings(case.GuestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.guest.start_busy("calls")

    def test_duration(self):
        start = time.monotonic()
        with Trace(self.guest, "--duration", 3) as trace:
            self.assertEqual(trace.wait(), swatd.OK, trace.diagnostics())
        self.assertGreaterEqual(time.monotonic() - start, 3)
        self.assertGreater(len(trace.events()), 0)
        self.assert_progress()

    def test_max_events(self):
        with Trace(self.guest, "--max-events", 100) as trace:
            self.assertEqual(trace.wait(), swatd.OK, trace.diagnostics())
        self.assertEqual(len(trace.events("syscall") + trace.events("call")), 100)
        self.assert_progress()

    def test_signals(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(how), Trace(self.guest) as trace:
                time.sleep(0.5)
                self.assertEqual(trace.leave(how), swatd.OK, trace.diagnostics())
                self.assertTrue(self.guest.running())
                self.assert_progress()

    def test_a_reader_that_goes_away(self):
        process = subprocess.Popen([swatd.SWATD, *swatd.connection(self.guest)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        process.stdout.readline()
        process.stdout.close()  # as `swatd | head -1` does
        process.wait(30)
        self.assert_progress()

    def test_again_and_again(self):
        for _ in range(5):
            done = swatd.once(*swatd.connection(self.guest), "--duration", 0.2)
            self.assertEqual(done.returncode, swatd.OK, done.stderr)
        self.assert_progress()


class Paused(case.GuestCase):
    """A guest that somebody else has paused is left so."""

    KILLS = 10 if case.ALL else 4

    def connect(self):
        return swatd.connection(self.guest)

    def setUp(self):
        self.guest.start_busy()
        self.guest.qmp("stop")

    def tearDown(self):
        self.assertEqual(self.guest.qmp("query-status")["status"], "paused")
        before = self.guest.rounds()
        self.assertFalse(self.guest.progresses(0.2), "it says paused, and runs")
        self.guest.qmp("cont")
        self.assert_progress()
        self.assertGreater(self.guest.rounds(), before)
        super().tearDown()

    def test_reading_leaves_it_paused(self):
        for command in ("ps", "modules", "doctor"):
            with self.subTest(command):
                swatd.output_of(command, *self.connect())
                self.assertEqual(self.guest.qmp("query-status")["status"], "paused")

    def test_tracing_has_to_be_asked_to_run_it(self):
        done = swatd.once(*self.connect(), "--duration", 1)
        self.assertEqual(done.returncode, swatd.USAGE, done.stderr)
        self.assertIn("--run", done.stderr)

    def test_tracing_leaves_it_paused(self):
        with Trace(self.guest, "--run", "--duration", 1, connect=self.connect()) as trace:
            self.assertEqual(trace.wait(), swatd.OK, trace.diagnostics())
        self.assertGreater(len(trace.events("syscall")), 0)

    def test_kill_9_leaves_it_paused(self):
        for moment in (random.uniform(0, 1.5) for _ in range(self.KILLS)):
            with self.subTest(moment=moment):
                process = subprocess.Popen([swatd.SWATD, *self.connect(), "--run"],
                                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                time.sleep(moment)
                process.kill()
                process.wait()
                swatd.wait_for_guardians(str(self.guest.path))
                self.assertEqual(self.guest.qmp("query-status")["status"], "paused")


class PausedWithoutQmp(Paused):
    """The stub alone tells since QEMU 8.1 only of states that no running guest comes from."""

    def connect(self):
        return swatd.connection(self.guest, qmp=False)


class RunningWithoutQmp(case.GuestCase):
    def test_is_left_running(self):
        self.guest.start_busy()
        for options in (["ps"], ["--duration", "1"]):
            with self.subTest(options):
                swatd.output_of(*options, *swatd.connection(self.guest, qmp=False))
                self.assertTrue(self.guest.running())
                self.assert_progress()


class Server:
    """A socket that is no QEMU: says `greeting` to whoever connects, and keeps quiet."""

    def __init__(self, greeting=b""):
        self.greeting = greeting
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.clients = []

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def _serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.clients.append(client)
            client.sendall(self.greeting)

    def __exit__(self, *_):
        self.socket.close()
        for client in self.clients:
            client.close()


class Refusals(case.GuestCase):
    """Each: a code of its own, one line, and nothing changed in the VM."""

    def assert_refuses(self, code, *options, says=None):
        done = swatd.once(*options)
        self.assertEqual(done.returncode, code, done.stderr)
        if code != swatd.USAGE:
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        if says:
            self.assertIn(says, done.stderr)

    def test_usage(self):
        for options in (["--no-such-option"], [], ["--gdb", "nonsense"],
                        ["--gdb", self.guest.gdb_address, "--os", "templeos"],
                        ["--gdb", self.guest.gdb_address, "--duration", "-1"],
                        ["--gdb", self.guest.gdb_address, "--duration", "soon"],
                        ["--gdb", self.guest.gdb_address, "--traps", "magic"],
                        ["no-such-command"]):
            with self.subTest(options):
                self.assert_refuses(swatd.USAGE, *options)

    def test_nothing_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.assert_refuses(swatd.CANNOT_CONNECT, "--gdb", f"127.0.0.1:{port}", says=str(port))
        self.assert_refuses(swatd.CANNOT_CONNECT, "--gdb", "unix:/nonexistent/gdb", says="/nonexistent")
        self.assert_refuses(swatd.CANNOT_CONNECT, "--qmp", "unix:/nonexistent/qmp", says="/nonexistent")
        with tempfile.NamedTemporaryFile() as file:
            self.assert_refuses(swatd.CANNOT_CONNECT, "--gdb", f"unix:{file.name}")

    def test_something_else_listens(self):
        with Server(b"SSH-2.0-OpenSSH_9.2\r\n") as server:
            self.assert_refuses(swatd.NOT_A_STUB, "--gdb", server.address)
            self.assert_refuses(swatd.NOT_A_STUB, "--qmp", server.address)

    def test_something_that_never_answers(self):
        with Server() as silent:  # as a QEMU that serves another client does
            self.assert_refuses(swatd.BUSY, "--gdb", silent.address)
            self.assert_refuses(swatd.BUSY, "--qmp", silent.address)

    def test_the_sockets_the_wrong_way_round(self):
        self.assert_refuses(swatd.NOT_A_STUB, "--gdb", self.guest.qmp_address)
        self.assert_refuses(swatd.NOT_A_STUB, "--qmp", self.guest.gdb_address)

    def test_a_stub_that_another_client_holds(self):
        client = RspClient(self.guest.gdb_address)
        self.assert_refuses(swatd.BUSY, *swatd.connection(self.guest))
        self.assert_refuses(swatd.BUSY, *swatd.connection(self.guest, qmp=False))
        self.assertTrue(client.ask("qC").startswith("QC"))  # and still holds it
        client.close()

    def test_a_guest_that_is_not_there(self):
        with tempfile.TemporaryDirectory() as folder:
            boot_sector = Path(folder) / "disk"
            boot_sector.write_bytes(b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
            with bare_machine(folder, boot_sector) as process:
                self.assert_refuses(swatd.UNSUPPORTED, "--gdb", f"unix:{folder}/gdb",
                                    "--qmp", f"unix:{folder}/qmp")
                self.assertIsNone(process.poll())


class bare_machine:
    """A VM that runs `jmp .` and no operating system."""

    def __init__(self, folder, disk):
        self.arguments = [QEMU, "-accel", "tcg", "-m", "64M", "-display", "none", "-nodefaults",
                          "-drive", f"file={disk},format=raw,if=ide",
                          "-gdb", f"unix:{folder}/gdb,server=on,wait=off",
                          "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
        self.socket = Path(folder) / "qmp"

    def __enter__(self):
        self.process = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL)
        while not self.socket.exists() and self.process.poll() is None:
            time.sleep(0.05)
        return self.process

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class QemuGoes(case.unittest.TestCase):
    def test_qemu_is_killed(self):
        with Guest() as guest:
            guest.start_busy()
            with Trace(guest, leaves_with=swatd.LOST) as trace:
                guest.process.kill()
                guest.process.wait()
                self.assertEqual(trace.wait(), swatd.LOST, trace.diagnostics())

    def test_the_guest_powers_off(self):
        with Guest() as guest, Trace(guest, leaves_with=swatd.LOST) as trace:
            guest.agent.start("poweroff -f")
            self.assertEqual(trace.wait(), swatd.LOST, trace.diagnostics())


if __name__ == "__main__":
    case.main()
