"""Calls by QEMU's execution log: every one of them, and QEMU's own log as it was before.

What QEMU logs is read out of its memory here (qemu_loglevel), and where to from its open files.
"""

import os
import random
import re
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import case
import swatd
from guest import Guest
from swatd import SWATD, Trace

EXEC_LOG = ("--traps", "exec-log")
KILLS = int(os.environ.get("SWAT_LOG_KILLS", "20" if case.ALL else "2"))
LOG_TRACE = 1 << 15  # what a QEMU that was built with trace events always logs [include/qemu/log.h]


def log_level(pid):
    """The bits of what QEMU logs just now; those of trace events left out."""
    with open(f"/proc/{pid}/maps") as maps:
        start, path = next((int(line.split("-")[0], 16), line.split()[-1]) for line in maps
                           if "qemu-system" in line.split()[-1])
    symbols = subprocess.run(["readelf", "--dyn-syms", "--wide", path], check=True, text=True,
                             stdout=subprocess.PIPE, timeout=60).stdout
    value = int(re.search(r"\s([0-9a-f]+)\s+4 OBJECT .* qemu_loglevel", symbols)[1], 16)
    with open(f"/proc/{pid}/mem", "rb") as memory:
        memory.seek(start + value)
        return int.from_bytes(memory.read(4), "little") & ~LOG_TRACE


def open_files(pid):
    """What QEMU has open: paths, and kinds of what has none."""
    files = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            files.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    return files


class ExecLog(case.GuestCase):
    guest_options = {"piped_log": True}

    def trace_of(self, line, *options):
        """Runs a shell line in the guest under trace: (trace, what it said)."""
        with Trace(self.guest, *EXEC_LOG, *options) as trace:
            output = self.guest.check(line, timeout=300)
        self.assertEqual(trace.status, swatd.OK, trace.diagnostics())
        self.assertEqual(trace.gaps(), [])
        self.assertNotIn("not of the execution log", trace.diagnostics())
        self.assert_log_is_as_before()
        return trace, output

    def assert_log_is_as_before(self):
        pid = self.guest.process.pid
        self.assertEqual(log_level(pid), 0)
        self.assertEqual([path for path in open_files(pid) if "swatd-" in Path(path).parent.name
                          and path.endswith("/log")], [])

    def assert_exact(self, trace, output):
        pid, expected = case.counted(output)
        seen = {}
        for what in expected:
            is_call = what in ("strlen", "malloc")
            seen[what] = len(trace.events("call", pid=pid, function=what) if is_call
                             else trace.events("syscall", pid=pid, name=what))
        self.assertEqual(seen, expected)
        return pid

    def assert_calls_exact(self, trace, output):
        pid, expected = case.counted(output)
        seen = {what: len(trace.events("call", pid=pid, function=what)) for what in expected}
        self.assertEqual(seen, expected)
        self.assertEqual(len(trace.events("syscall", pid=pid, name="getpid")), expected["getpid"])


class Counts:
    """What must come out exact; the guests below differ."""

    def test_counted_with_lazy_binding(self):
        trace, output = self.trace_of("counted 500")
        pid = self.assert_exact(trace, output)
        # Through the PLT too, once for each of the 1000 system calls.
        calls = trace.events("call", pid=pid, function="syscall")
        self.assertEqual(len(calls), 1000)

    def test_counted_bound_at_start(self):
        self.assert_exact(*self.trace_of("counted-now 300"))

    def test_counted_without_a_plt(self):
        self.assert_exact(*self.trace_of("counted-noplt 300"))

    def test_32_bit_programs_beside(self):
        self.assert_exact(*self.trace_of("counted32 50"))

    def test_calls_without_a_stop(self):
        self.assert_calls_exact(*self.trace_of("calls 30000"))

    def test_side_by_side(self):
        trace, _ = self.trace_of("calls 3000 > /run/a & counted 500 > /run/b & "
                                 "calls 4000 > /run/c & wait")
        for name in "abc":
            pid, expected = case.counted(self.guest.check(f"cat /run/{name}"))
            calls = {what for what in expected
                     if what != "openat" and (name != "b" or what != "getpid")}
            seen = {what: len(trace.events("call", pid=pid, function=what)) for what in calls}
            self.assertEqual(seen, {what: expected[what] for what in calls}, name)

    def test_processes_that_come_and_go(self):
        """forktree.c: what its main process calls, and what each child does before it is another."""
        rounds = 10
        trace, _ = self.trace_of(f"exec forktree {rounds}")
        parent = trace.events("call", function="vfork", process="forktree")[0]["pid"]

        def calls(function, **fields):
            return [event["pid"] for event in trace.events("call", function=function, **fields)]

        self.assertEqual(calls("fork", process="forktree"), [parent] * 2 * rounds)
        self.assertEqual(calls("vfork", process="forktree"), [parent] * rounds)
        self.assertEqual(calls("waitpid", process="forktree"), [parent] * 3 * rounds)
        # One in a child of fork, one in a child of vfork, which has its parent's address space.
        children = calls("execv", process="forktree")
        self.assertEqual(len(children), 2 * rounds)
        self.assertEqual(len(set(children)), 2 * rounds)
        self.assertNotIn(parent, children)
        self.assertEqual(len(set(calls("exit", process="forktree"))), 2 * rounds + 1)

    def test_fields_of_a_call(self):
        trace, output = self.trace_of("counted-now 20")
        pid, _ = case.counted(output)
        calls = trace.events("call", pid=pid, function="malloc")
        self.assertEqual({call["module"] for call in calls}, {"libc.so.6"})
        self.assertEqual({call["caller_module"] for call in calls if call["caller_module"]},
                         {"counted-now"})
        self.assertEqual({call["tid"] for call in calls}, {pid})
        self.assertEqual({call["process"] for call in calls}, {"counted-now"})
        self.assertLessEqual({call["vcpu"] for call in calls}, set(range(self.guest.smp)))
        self.assertEqual(len({call["address"] for call in calls}), 1)

    def test_calls_stand_before_the_system_call_they_lead_to(self):
        trace, output = self.trace_of("calls 200")
        pid, _ = case.counted(output)
        events = [event for event in trace.events(pid=pid) if event["event"] in ("call", "syscall")]
        for at, event in enumerate(events):
            if event.get("name") == "getpid":
                self.assertEqual(events[at - 1].get("function"), "getpid")

    def test_selected_functions_of_selected_processes(self):
        trace, output = self.trace_of("counted 300; counted-now 100", "--calls", "libc.so.6!str*",
                                      "-p", "counted")
        pid, expected = case.counted(output)
        self.assertEqual(len(trace.events("call", pid=pid, function="strlen")), expected["strlen"])
        self.assertEqual({call["process"] for call in trace.events("call")}, {"counted"})
        self.assertTrue(all(call["function"].startswith("str") for call in trace.events("call")))

    def test_a_function_that_has_a_breakpoint_too(self):
        trace, output = self.trace_of("counted 50", "--break", "libc.so.6!malloc")
        self.assert_exact(trace, output)


class SideBySide:
    """Several programs at once, so that vCPUs change their processes at the same moment."""

    def test_counted_programs_side_by_side(self):
        programs = ["counted 200", "counted-now 200", "calls 3000", "counted-noplt 200"]
        for run in range(case.RUNS):
            together = " & ".join(f"{line} > /run/{i}" for i, line in enumerate(programs))
            trace, _ = self.trace_of(f"{together} & wait")
            for i, line in enumerate(programs):
                with self.subTest(line, run=run):
                    output = self.guest.check(f"cat /run/{i}")
                    if line.startswith("calls"):
                        self.assert_calls_exact(trace, output)
                    else:
                        self.assert_exact(trace, output)

    def test_forks_of_one_program_side_by_side(self):
        """Alike in all addresses: only the page table tells them apart."""
        for run in range(case.RUNS):
            trace, _ = self.trace_of("for i in 1 2 3; do calls 2000 > /run/$i & done; wait")
            for i in "123":
                with self.subTest(i, run=run):
                    self.assert_calls_exact(trace, self.guest.check(f"cat /run/{i}"))


class OneVcpu(Counts, ExecLog):
    def test_forks_of_one_program_side_by_side(self):
        SideBySide.test_forks_of_one_program_side_by_side(self)


@case.quick("test_processes_that_come_and_go", "test_counted_programs_side_by_side")
class TwoVcpus(Counts, SideBySide, ExecLog):
    guest_options = {"piped_log": True, "smp": 2}


@case.quick("test_forks_of_one_program_side_by_side")
class FourVcpus(SideBySide, ExecLog):
    guest_options = {"piped_log": True, "smp": 4}


@case.quick()
class TwoVcpusWithSplitPageTables(SideBySide, ExecLog):
    guest_options = {"piped_log": True, "smp": 2, "cpu": "Haswell"}


@case.quick("test_side_by_side", "test_the_guest_has_them")
class SplitPageTables(Counts, ExecLog):
    guest_options = {"piped_log": True, "cpu": "Haswell"}

    def test_the_guest_has_them(self):
        flags = self.guest.check("grep -m1 ^flags /proc/cpuinfo")
        self.assertIn(" pti", flags)


class Endings(ExecLog):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.guest.start_busy("calls")

    def test_the_guest_is_as_fast_as_before(self):
        def rounds_a_second():
            start, before = time.monotonic(), self.guest.rounds()
            time.sleep(1)
            return (self.guest.rounds() - before) / (time.monotonic() - start)

        before = rounds_a_second()
        self.trace_of("sleep 1")
        # Logging slows it 30 times; the machine is no more noisy than 5 times.
        self.assertGreater(max(rounds_a_second() for _ in range(3)), before / 5)

    def test_kill_9(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        moments = random.Random(seed)
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for _ in range(KILLS):
            moment = moments.uniform(0, 2.5)
            with self.subTest(moment=moment):
                process = subprocess.Popen(
                    [SWATD, *swatd.connection(self.guest), *EXEC_LOG, "--log", "/dev/null"],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    start_new_session=True, env={**os.environ, "TMPDIR": folder})
                time.sleep(moment)
                process.send_signal(signal.SIGKILL)
                process.wait()
                deadline = time.monotonic() + 5
                while log_level(self.guest.process.pid) != 0 or not self.guest.running():
                    self.assertLess(time.monotonic(), deadline, "QEMU logs on")
                    time.sleep(0.05)
                self.assert_progress()
                self.assert_log_is_as_before()
        deadline = time.monotonic() + 5
        while left := list(folder.iterdir()):
            self.assertLess(time.monotonic(), deadline, f"left behind: {left}")
            time.sleep(0.05)

    def test_doctor_tells_that_it_is_possible(self):
        self.assertIn("(--traps exec-log): possible",
                      swatd.output_of("doctor", *swatd.connection(self.guest)))
        self.assert_log_is_as_before()

    def test_a_reader_that_vanishes_harms_nobody(self):
        """Not even the guardian is left: QEMU writes on into a FIFO without a reader."""
        process = subprocess.Popen(
            [SWATD, *swatd.connection(self.guest), *EXEC_LOG, "--log", "/dev/null"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while log_level(self.guest.process.pid) == 0:
            self.assertLess(time.monotonic(), deadline, "it does not log")
            time.sleep(0.05)
        for pid in swatd.processes_with(self.guest.gdb_address):
            os.kill(pid, signal.SIGKILL)
        process.wait(30)
        swatd.output_of("ps", *swatd.connection(self.guest))  # takes the points out
        self.guest.qmp("cont")
        self.assertNotEqual(log_level(self.guest.process.pid), 0)
        self.assert_progress()
        self.guest.monitor.hmp("log none")
        self.guest.monitor.hmp("logfile /dev/null")
        self.assert_log_is_as_before()

    def test_garbage_in_the_log_is_told_of(self):
        """Lines of somebody else's, cut off and endless ones: counted, and the calls are there."""
        with Trace(self.guest, *EXEC_LOG) as trace:
            fifo = next(path for path in open_files(self.guest.process.pid)
                        if "swatd-" in path and path.endswith("/log"))
            with open(fifo, "wb", buffering=0) as log:
                log.write(b"\nTrace 0: cut\nTrace 99999999999999999999: \n" + b"x" * 3000 + b"\n")
            output = self.guest.check("calls 300", timeout=300)
        self.assertEqual(trace.status, swatd.OK, trace.diagnostics())
        self.assert_calls_exact(trace, output)
        self.assertGreaterEqual(sum(gap["count"] for gap in trace.gaps()), 2)
        self.assert_log_is_as_before()

    def test_a_full_disk_ends_the_trace_and_the_log(self):
        done = swatd.once(*swatd.connection(self.guest), *EXEC_LOG, "--log", "/dev/full",
                          "--duration", 20)
        self.assertEqual(done.returncode, swatd.UNSUPPORTED, done.stderr)
        self.assert_log_is_as_before()
        self.assert_progress()


class OwnLog(unittest.TestCase):
    """A QEMU that logs already."""

    def outcome(self, guest, *options):
        done = swatd.once(*swatd.connection(guest), *EXEC_LOG, "--duration", 1, "--log", "/dev/null",
                          *options)
        self.assertTrue(guest.running())
        return done

    def assert_one_line(self, done, what):
        self.assertEqual(done.returncode, swatd.UNSUPPORTED, done.stderr)
        self.assertRegex(done.stderr.splitlines()[-1], f"^swatd: .*{what}")

    def test_into_a_file(self):
        """It goes on where it was; where that cannot be, nothing is touched."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "own.log"
            arguments = ["-D", str(path), "-d", "guest_errors,unimp"]
            with Guest(machine_args=arguments) as guest:
                pid = guest.process.pid
                level, content = log_level(pid), path.read_text()
                self.assertNotEqual(level, 0)
                done = self.outcome(guest)
                if done.returncode != swatd.OK:
                    self.assert_one_line(done, "could not be given back")
                self.assertEqual(log_level(pid), level)
                self.assertIn(str(path), open_files(pid))
                self.assertTrue(path.read_text().startswith(content))

    def test_that_was_set_by_hand(self):
        with Guest() as guest:
            guest.monitor.hmp("log unimp,guest_errors")
            level = log_level(guest.process.pid)
            self.assert_one_line(self.outcome(guest), "unimp,guest_errors")
            self.assertEqual(log_level(guest.process.pid), level)
            guest.monitor.hmp("log none")

    def test_that_is_filtered(self):
        with Guest(machine_args=["-dfilter", "0x1000+0x1000"]) as guest:
            self.assert_one_line(self.outcome(guest), "dfilter")
            self.assertRegex(swatd.output_of("doctor", *swatd.connection(guest)),
                             r"\(--traps exec-log\): no, .*dfilter")


if __name__ == "__main__":
    case.main()
