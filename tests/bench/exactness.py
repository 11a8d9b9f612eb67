"""Whether every kind of trap sees everything once: programs that know what they do, side by side, on
1, 2 and 4 vCPUs, run after run.

Usage: exactness.py [RUNS [KIND...]]: 5 runs of every kind if not given. Kinds: see KINDS.
Prints a table of runs that came out exact, says of each other what was wrong, and fails when there
was one. SWAT_SMP: other counts of vCPUs, in a row.
"""

import os
import sys
from collections import Counter, namedtuple
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
# pylint: disable=wrong-import-position
import case
import swatd
from guest import Guest
from swatd import Trace

CALLS = {"strlen", "malloc"}
SYSCALLS = {"getpid", "openat"}
# `sees`: what this kind is there for. By breakpoints strlen, which is several functions in one
# name, is not: its own entry is never reached.
Kind = namedtuple("Kind", "options programs sees kernel", defaults=["6.1"])
KINDS = {
    "watch": Kind([], ["counted 500", "counted-now 500", "counted-noplt 200"], CALLS | SYSCALLS),
    "table": Kind(["--traps", "table", "-e", "getpid,openat"], ["counted 300", "counted-now 300"],
                  CALLS | SYSCALLS, "5.10"),
    "handlers": Kind(["--traps", "table", "-e", "getpid,openat"], ["counted 50", "counted-now 50"],
                     CALLS | SYSCALLS),
    "break": Kind(["--traps", "break", "--break", "libc.so.6!malloc"],
                  ["counted 50", "counted-now 50"], SYSCALLS | {"malloc"}),
    "exec-log": Kind(["--traps", "exec-log"], ["counted 500", "counted-now 500", "counted-noplt 200"],
                     CALLS | SYSCALLS),
    "returns": Kind(["--returns"], ["counted 500", "counted-now 500", "counted32 100"],
                    CALLS | SYSCALLS),
}


def differences(trace, kind, outputs):
    """What is not as it should be, a line each."""
    wrong = [f"gap: {gap['reason']}" for gap in trace.gaps()]
    if trace.status != swatd.OK:
        wrong.append(f"swatd ended with {trace.status}: {trace.diagnostics()}")
    seen = Counter((event["pid"], event.get("name") or event["function"])
                   for event in trace.events("syscall") + trace.events("call"))
    returned = Counter(event["call"] for event in trace.events("return")
                       if event["outcome"] == "returned")
    for program, output in outputs.items():
        pid, expected = case.counted(output)
        wrong += [f"{program}: {seen[pid, what]} of {times} {what}"
                  for what, times in expected.items()
                  if what in kind.sees and seen[pid, what] != times]
        if "--returns" in kind.options:
            calls = [event["seq"] for event in trace.events("syscall", pid=pid)
                     if event["name"] in SYSCALLS]
            wrong += [f"{program}: call {call} returned {returned[call]} times"
                      for call in calls if returned[call] != 1]
    return wrong


def run(guest, kind):
    files = {program: f"/run/{i}" for i, program in enumerate(kind.programs)}
    together = " & ".join(f"{program} > {file}" for program, file in files.items())
    with Trace(guest, *kind.options) as trace:
        guest.check(f"{together} & wait", timeout=300)
    return differences(trace, kind, {program: guest.check(f"cat {file}")
                                     for program, file in files.items()})


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    kinds = sys.argv[2:] or list(KINDS)
    counts = [int(n) for n in os.environ.get("SWAT_SMP", "1 2 4").split()]
    exact = Counter()
    version = "?"
    for smp in counts:
        for name in kinds:
            with Guest(kernel=KINDS[name].kernel, smp=smp, piped_log=True) as guest:
                version = "{major}.{minor}.{micro}".format(**guest.qmp("query-version")["qemu"])
                for number in range(1, runs + 1):
                    wrong = run(guest, KINDS[name])
                    exact[name, smp] += not wrong
                    for line in wrong:
                        print(f"{name}, {smp} vCPUs, run {number}: {line}", flush=True)
            print(f"{name}, {smp} vCPUs: {exact[name, smp]} of {runs}", flush=True)
    print(f"\nQEMU {version}, TCG: runs that came out exact\n")
    print("| kind | " + " | ".join(f"{smp} vCPU" + "s" * (smp > 1) for smp in counts) + " |")
    print("|---|" + "---:|" * len(counts))
    for name in kinds:
        print(f"| {name} | " + " | ".join(f"{exact[name, smp]} of {runs}" for smp in counts) + " |")
    if any(exact[name, smp] < runs for name in kinds for smp in counts):
        sys.exit("exactness: not every run was exact")


if __name__ == "__main__":
    main()
