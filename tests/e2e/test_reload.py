"""What is asked for changes while tracing goes on: the file of --config is read again on SIGHUP, and
nothing is lost over it."""

import re
import signal
import time

import case
import swatd
from swatd import Trace


class Reload(case.GuestCase):
    def setUp(self):
        self.config = self.guest.path / "swatd.conf"

    def configure(self, *lines):
        self.config.write_text("".join(line + "\n" for line in lines))

    def trace(self):
        return Trace(self.guest, "--config", self.config)

    def reload(self, trace, answer="read .* again"):
        """Returns once swatd has said `answer` once more, and traces again."""
        before = len(self.said(trace, answer)), len(self.said(trace, "processes, .* points"))
        trace.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 30
        while (len(self.said(trace, answer)) == before[0]
               or len(self.said(trace, "processes, .* points")) == before[1]):
            self.assertLess(time.monotonic(), deadline, trace.diagnostics())
            time.sleep(0.02)

    def said(self, trace, pattern):
        return re.findall(pattern, trace.diagnostics())

    def assert_counts(self, trace, pid, expected, *what):
        """Exactly `what` was logged of this process, all of it."""
        seen = {name: len(trace.events("syscall", pid=pid, name=name)
                          + trace.events("call", pid=pid, function=name)) for name in expected}
        self.assertEqual(seen, {name: expected[name] if name in what else 0 for name in expected})

    def test_other_calls_from_now_on(self):
        self.configure('trace = "openat"', 'calls = "none"')
        with self.trace() as trace:
            first = self.count("counted", 200)
            self.configure('trace = "getpid"', 'calls = "libc.so.6!strlen"')
            self.reload(trace)
            second = self.count("counted", 200)
            self.configure('trace = "none"', 'traps = "exec-log"')
            self.reload(trace)
            third = self.count("counted", 200)
        self.assertEqual(trace.gaps(), [])
        self.assert_counts(trace, *first, "openat")
        self.assert_counts(trace, *second, "getpid", "strlen")
        self.assert_counts(trace, *third, "strlen", "malloc")

    def test_nothing_is_lost_meanwhile(self):
        self.configure('trace = "getpid,openat"', "returns = true")
        with self.trace() as trace:
            self.guest.agent.start("counted 3000")
            for _ in range(6):
                time.sleep(0.3)
                self.reload(trace)
            pid, expected = case.counted(self.guest.agent.reply(300)[1])
        self.assertEqual(trace.gaps(), [])
        self.assert_counts(trace, pid, expected, "getpid", "openat", "strlen", "malloc")
        self.assertEqual(len(self.said(trace, "read .* again")), 6)

    def test_what_does_not_do_changes_nothing(self):
        self.configure('trace = "openat"', 'calls = "none"')
        runs = []
        with self.trace() as trace:
            for wrong, answer in (('trace = "nosuchcall"', "nosuchcall.*all stays as it was"),
                                  ('break = "*!*"', "--break asks for .*all stays as it was")):
                self.configure(wrong)
                self.reload(trace, answer)
                runs.append(self.count("counted", 100))
            self.config.unlink()
            self.reload(trace, "swatd.conf.*all stays as it was")
            runs.append(self.count("counted", 100))
        for counted in runs:
            self.assert_counts(trace, *counted, "openat")

    def test_without_a_file_it_is_the_end(self):
        with Trace(self.guest) as trace:
            self.assertEqual(trace.leave(signal.SIGHUP), swatd.OK)
        self.assertTrue(self.guest.running())


@case.quick()
class TwoVcpus(Reload):
    guest_options = {"smp": 2}


if __name__ == "__main__":
    case.main()
