"""What the e2e tests share: one guest a class, and skips that nobody can overlook."""

import os
import re
import sys
import tempfile
import time
import unittest
from pathlib import Path

import swatd
from guest import Guest, named, unpack
from swatd import SWATD

SKIPPED = 77  # SKIP_RETURN_CODE in CMakeLists.txt
ALL = bool(os.environ.get("SWAT_ALL"))  # scripts/test --all: what takes long as well
RUNS = 5 if ALL else 1  # of what may come out otherwise the next time


def quick(*names):
    """Decorates a class whose tests another class has too: without --all it runs only these."""
    def choose(cls):
        for name in () if ALL else dir(cls):
            if name.startswith("test_") and name not in names:
                setattr(cls, name, None)
        missing = [name for name in names if not callable(getattr(cls, name, None))]
        assert not missing, f"{cls.__name__} has no {missing}"
        return cls
    return choose


class GuestCase(unittest.TestCase):
    """Boots one guest for all tests of the class; none of them may leave it stopped."""

    guest_options = {}

    @classmethod
    def setUpClass(cls):
        if not SWATD:
            raise RuntimeError("set SWATD to the swatd to be tested (ctest does)")
        cls.guest = cls.enterClassContext(Guest(**cls.guest_options))

    def tearDown(self):
        self.assertTrue(self.guest.alive(), self.guest.last_words())
        status = self.guest.qmp("query-status")["status"]
        if status != "running":
            self.guest.qmp("cont")  # so that the next test fails for a reason of its own
        self.assertEqual(status, "running")
        self.assertEqual(self.guest.run("echo well")[1].strip(), "well")

    def count(self, program, *arguments):
        """Runs one of the counted programs in the guest: (the child's pid, {what: how often})."""
        output = self.guest.check(" ".join([program, *map(str, arguments)]), timeout=300)
        return counted(output)

    def assert_progress(self):
        """busy.c, started before, goes on."""
        self.assertTrue(self.guest.progresses(5), "the guest stands still")


class Unpacked:
    """For a GuestCase: `root` has the guest's root file system on this host."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        temporary = tempfile.TemporaryDirectory(prefix="swatd-root-")
        cls.addClassCleanup(temporary.cleanup)
        cls.root = Path(temporary.name)
        unpack(cls.guest.directory, cls.root)


class EqualsProc:
    """For a GuestCase: what swatd says of processes and what they have mapped is what /proc says."""

    def test_ps_and_modules_equal_proc(self):
        pid = self.guest.start_dlopener(3)
        before = self.guest.proc_truth()
        seen, maps = swatd.ps(self.guest), swatd.modules(self.guest)
        after = self.guest.proc_truth()
        truth = {number: process for number, process in after.items()
                 if before.get(number) == process}
        self.assertLessEqual({1, 2, pid}, set(truth))
        for number, process in truth.items():
            with self.subTest(pid=number, name=process["name"]):
                if not process["name"].startswith("kworker/"):  # /proc says what it works for
                    self.assertEqual(seen.get(number), (process["ppid"], process["name"][:15]))
                self.assertEqual(maps.get(number, []), named(process["maps"]))
        self.guest.check(f"kill {pid}")


CALLS = ("strlen", "malloc")


class Counted:
    """For a test: what a counted program did is in the trace as often as it did it."""

    def assert_exact(self, trace, pid, expected, entry=None):
        """`entry`: the one that its system calls came by."""
        self.assert_exact_of({"pid": pid}, trace, expected, entry)

    def assert_exact_of(self, process, trace, expected, entry=None):
        """`process`: fields of all its events, and of no other's."""
        self.assertEqual(trace.gaps(), [])
        for what, times in expected.items():
            if what in CALLS:
                found = trace.events("call", function=what, **process)
            else:
                found = trace.events("syscall", name=what, **process)
                if entry:
                    self.assertEqual({event["entry"] for event in found}, {entry}, what)
            self.assertEqual(len(found), times, what)

    def assert_exact_without_structures(self, trace, program, expected):
        """Of the program's child, which alone calls getpid: nothing but its address space tells."""
        spaces = {event["as"] for event in trace.events("syscall", process=program, name="getpid")}
        self.assertEqual(len(spaces), 1)
        process = {"process": program, "as": spaces.pop(), "pid": 0}
        self.assert_exact_of(process, trace, expected)


def counted(output):
    """The line that counted.c and counted32.c print."""
    line = re.search(r"COUNTED (.*)", output)
    assert line, f"it has not counted: {output}"
    fields = dict(re.findall(r"(\w+)=(\d+)", line[1]))
    pid = int(fields.pop("pid"))
    return pid, {what: int(times) for what, times in fields.items()}


class TimedResult(unittest.TextTestResult):
    """Says how long each test took."""

    def startTest(self, test):
        self.started = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        self.stream.writeln(f"  {time.monotonic() - self.started:.1f} s")


def main():
    runner = unittest.TextTestRunner(resultclass=TimedResult, verbosity=2)
    program = unittest.main(module="__main__", testRunner=runner, exit=False)
    if not program.result.wasSuccessful():
        sys.exit(1)
    for test, reason in program.result.skipped:
        print(f"SKIPPED {test}: {reason}")
    sys.exit(SKIPPED if program.result.skipped else 0)
