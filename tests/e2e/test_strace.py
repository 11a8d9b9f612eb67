"""swatd's log of a command against strace's, from inside the same guest, of the same run."""

import re

import case
from swatd import Trace

# Forks, a pipe, executes, reads, writes: and the same every time.
COMMAND = "sh -c 'ls /lib | wc -l; cat /init > /run/copy; counted 5'"


def strace_sequences(text):
    """{pid: [name of each call, in the order of entry]}. A resumed call was entered before."""
    sequences = {}
    for line in text.splitlines():
        found = re.match(r"(\d+) +(\w+)\(", line)
        if found:
            sequences.setdefault(int(found[1]), []).append(found[2])
    return sequences


class Strace(case.GuestCase):
    def test_same_system_calls_in_the_same_order(self):
        with Trace(self.guest, "--names") as trace:
            self.guest.check(f"strace -f -o /run/strace.out {COMMAND}", timeout=300)
        expected = strace_sequences(self.guest.check("cat /run/strace.out"))
        self.assertGreaterEqual(len(expected), 5)
        self.assertEqual(trace.gaps(), [])

        leader = min(expected)
        for pid, names in expected.items():
            seen = [event["name"] for event in trace.events("syscall", pid=pid)]
            if pid == leader:  # before its execve it was strace's own child, which strace hides
                seen = seen[seen.index("execve"):]
            with self.subTest(pid=pid):
                self.assertEqual(seen, names)


if __name__ == "__main__":
    case.main()
