"""Statically linked programs: their functions by --files, of a program that knows what it called.

tests/guests/counted_functions.c; the root file system is the guest's own, unpacked on this host.
"""

import subprocess
import tempfile
from pathlib import Path

import case
import swatd
from swatd import Trace

PROGRAM = "counted-functions"
NAMELESS = f"{PROGRAM}: statically linked, and no names of its functions are in memory"


class StaticProgram(case.Unpacked):
    """For a GuestCase."""

    def another_root(self):
        """A root file system whose file of that name is another: one byte of its code."""
        root = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="swatd-root-")))
        (root / "bin").mkdir()
        content = bytearray((self.root / "bin" / PROGRAM).read_bytes())
        content[self.code_at("global_function")[1]] ^= 1
        (root / "bin" / PROGRAM).write_bytes(content)
        return root

    def code_at(self, name):
        """(address, file offset) of a function, by readelf."""
        file = self.root / "bin" / PROGRAM
        symbols = self.readelf("-s", file)
        address = next(int(row[1], 16) for row in symbols if len(row) > 7 and row[7] == name)
        if self.guest.machine.qemu == "qemu-system-arm":
            address &= ~1  # says Thumb
        for row in self.readelf("-l", file):
            if row[:1] == ["LOAD"]:
                offset, start, size = (int(row[i], 16) for i in (1, 2, 4))
                if start <= address < start + size:
                    return address, address - start + offset
        raise AssertionError(f"{name} is in no segment")

    @staticmethod
    def readelf(what, file):
        done = subprocess.run(["readelf", what, "--wide", file], check=True, text=True,
                              stdout=subprocess.PIPE, timeout=60)
        return [line.split() for line in done.stdout.splitlines()]

    def assert_calls(self, trace, pid, expected):
        self.assertEqual(trace.gaps(), [])
        for name, times in expected.items():
            events = trace.events("call", pid=pid, function=name)
            self.assertEqual(len(events), times, name)
            self.assertEqual({event["module"] for event in events}, {PROGRAM})
            if name != "getppid":
                self.assertEqual({int(event["address"], 16) for event in events},
                                 {self.code_at(name)[0]})

    def test_functions_by_name(self):
        breaks = [word for name in ("global_function", "local_function", "getppid")
                  for word in ("--break", f"{PROGRAM}!{name}")]
        with Trace(self.guest, "--files", self.root, "-e", "none", *breaks) as trace:
            pid, expected = self.count(PROGRAM, 50)
        self.assert_calls(trace, pid, expected)
        self.assertRegex(trace.diagnostics(), f"{PROGRAM}: statically linked, [0-9]+ names")

    def test_a_file_that_is_another_names_nothing(self):
        with Trace(self.guest, "--files", self.another_root(), "-e", "none",
                   "--break", f"{PROGRAM}!*_function") as trace:
            self.count(PROGRAM, 20)
        self.assertEqual(trace.events("call", module=PROGRAM), [])
        self.assertIn(f"/bin/{PROGRAM} is not the guest's file", trace.diagnostics())
        self.assertIn(NAMELESS, trace.diagnostics())


class Static(StaticProgram, case.GuestCase):
    guest_options = {"piped_log": True}

    def test_calls_by_the_execution_log(self):
        with Trace(self.guest, "--files", self.root, "--traps", "exec-log",
                   "--calls", f"{PROGRAM}!*") as trace:
            pid, expected = self.count(PROGRAM, 500)
        self.assert_calls(trace, pid, expected)
        self.assertEqual({event["module"] for event in trace.events("call")}, {PROGRAM})

    def test_without_files_it_says_what_is_missing_once(self):
        with Trace(self.guest) as trace:
            for _ in range(2):
                self.count(PROGRAM, 5)
        self.assertEqual(trace.diagnostics().count(NAMELESS), 1, trace.diagnostics())
        self.assertEqual(trace.events("call", module=PROGRAM), [])

    def test_functions_lists_what_readelf_lists(self):
        pid = self.guest.spawn(f"exec {PROGRAM} 100000000")
        text = swatd.output_of("functions", *swatd.connection(self.guest), "-p", pid,
                               "--files", self.root, f"{PROGRAM}!*")
        self.guest.check(f"kill {pid}")
        seen = {(int(line.split()[1], 16), line.split("!")[1]) for line in text.splitlines()}
        expected = {(int(row[1], 16), row[7]) for row in self.readelf(
                        "-s", self.root / "bin" / PROGRAM)
                    if len(row) > 7 and row[3] in ("FUNC", "IFUNC") and row[6].isdigit()}
        self.assertGreater(len(expected), 1000)
        self.assertEqual(sorted(expected - seen)[:10], [], "missing")
        # Written in assembly, without a type.
        untyped = {(int(row[1], 16), row[7]) for row in self.readelf(
                       "-s", self.root / "bin" / PROGRAM) if len(row) > 7 and row[3] == "NOTYPE"}
        self.assertEqual(sorted(seen - expected - untyped)[:10], [], "not in the file")

    def test_a_folder_that_is_not_there_is_a_usage_error(self):
        done = swatd.once("functions", *swatd.connection(self.guest), "--files", "/nonexistent")
        self.assertEqual(done.returncode, swatd.USAGE, done.stderr)


if __name__ == "__main__":
    case.main()
