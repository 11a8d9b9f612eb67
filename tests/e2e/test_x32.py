"""System calls of the x32 ABI (`syscall` with bit 30 of the number set), on a kernel that takes them:
numbers and names are those that strace prints inside the guest."""

import re

import case
from swatd import Trace


class X32(case.GuestCase):
    guest_options = {"append": "syscall.x32=y"}

    def strace_says(self):
        """{(number, name)} of the counted calls."""
        lines = self.guest.check("strace -f -n -e trace=getpid,openat counted64 3 x32 2>&1")
        return {(int(number), name)
                for number, name in re.findall(r"\[(\d+)\] (getpid|openat)\(", lines)}

    def test_counts_numbers_and_names(self):
        with Trace(self.guest, "--names", "--returns") as trace:
            pid, expected = self.count("counted64", 50, "x32")
        self.assertEqual(trace.gaps(), [])
        seen = set()
        for what, times in expected.items():
            events = trace.events("syscall", pid=pid, name=what, entry="syscall")
            self.assertEqual(len(events), times, what)
            seen |= {(event["number"], event["name"]) for event in events}
        self.assertEqual(seen, self.strace_says())
        # That the kernel has taken them for what they are.
        self.assertEqual({event["result"] for event in trace.events("return", pid=pid, name="getpid")},
                         {pid})
        self.assertEqual({event["error"] for event in trace.events("return", pid=pid, name="openat")},
                         {"ENOENT"})


if __name__ == "__main__":
    case.main()
