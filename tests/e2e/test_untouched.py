"""A guest after swatd is the guest before: by gdb's eyes, and by the bytes."""

import time

import case
from gdbclient import RspClient, gdb, gdb_runs_on
from swatd import Trace

PAGE = 4096
KERNEL_SYMBOLS = ("entry_SYSCALL_64", "entry_SYSENTER_compat", "do_syscall_64", "__x64_sys_getpid",
                  "sys_call_table")


class Untouched(case.GuestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.busy = cls.guest.start_busy("calls")
        symbols = cls.guest.check("grep -E ' (" + "|".join(KERNEL_SYMBOLS) + ")$' /proc/kallsyms")
        cls.kernel = {line.split()[2]: int(line.split()[0], 16) for line in symbols.splitlines()}
        cls.code = [(start, end) for start, end, _, permissions, path
                    in cls.guest.proc_truth()[cls.busy]["maps"]
                    if permissions == "r-xp" and path.startswith("/")]

    def kernel_code(self):
        """What gdb reads at the ways into the kernel."""
        return gdb(self.guest.gdb_address,
                   *(f"x/64xb {address:#x}" for address in self.kernel.values()), "info breakpoints")

    def user_code(self):
        """{page: bytes} of the busy process's program and libraries, as far as they are mapped."""
        client = self.connect_while_busy_runs()
        pages = {}
        for start, end in self.code:
            for page in range(start, end, PAGE):
                data = client.read(page, PAGE)
                if data is not None:
                    pages[page] = data
        client.close()
        return pages

    def connect_while_busy_runs(self):
        """A client whose reads are of the busy process: the one that runs nearly all the time."""
        for _ in range(100):
            client = RspClient(self.guest.gdb_address)
            if client.read(self.code[0][0], PAGE) is not None:
                return client
            client.close()
            time.sleep(0.1)
        self.fail("the busy process is never there")

    def assert_untouched_by(self, *options):
        kernel, user = self.kernel_code(), self.user_code()
        self.assertGreater(len(kernel.splitlines()), 8 * len(self.kernel))
        self.assertIn("No breakpoints", kernel)

        with Trace(self.guest, *options) as trace:
            time.sleep(2)
            self.count("counted", 20)
        self.assertEqual(trace.status, 0, trace.diagnostics())
        self.assertGreater(len(trace.events("syscall")), 40)

        self.assertEqual(self.guest.qmp("query-status"), self.running_status)
        # Before gdb: the `?` that gdb says first removes breakpoints.
        client = RspClient(self.guest.gdb_address)
        self.assertIsNone(client.stop_within(2), "a trap fires")
        client.close()
        self.assertEqual(self.kernel_code(), kernel)
        after = self.user_code()
        common = user.keys() & after.keys()
        self.assertGreater(len(common), 10, "too little of the code was mapped to say anything")
        self.assertEqual([hex(page) for page in common if user[page] != after[page]], [])

        self.assertTrue(gdb_runs_on(self.guest.gdb_address, seconds=3), "a trap fires under gdb")
        self.assert_progress()

    def setUp(self):
        self.running_status = self.guest.qmp("query-status")

    def test_after_watches(self):
        self.assert_untouched_by("--traps", "watch")

    def test_after_breakpoints(self):
        self.assert_untouched_by("--traps", "break")

    def test_after_a_breakpoint_in_a_library(self):
        self.assert_untouched_by("--break", "libc.so.6!malloc")


if __name__ == "__main__":
    case.main()
