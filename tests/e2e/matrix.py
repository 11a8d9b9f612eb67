"""The kernels that swatd is tested on, a row each: Debian's, and those of the folder SWAT_GUESTS.

RowChecks is what each of Debian's must pass, and OldRowChecks each of the others; the files
test_*.py make their classes of them, and add what only their architecture has.
"""

import re
import tempfile
from dataclasses import dataclass

import case
import old_guest
import swatd
from guest import Guest, unpack
from machines import program_beside
from readelf import exported_functions
from swatd import Trace


@dataclass(frozen=True)
class Row:
    """One of Debian's kernels; `arch` and `series` as scripts/fetch-guest has them."""

    arch: str
    series: str
    smp: int = 1
    in_ci: bool = False

    @property
    def name(self):
        words = [self.arch, self.series] + (["smp", str(self.smp)] if self.smp > 1 else [])
        return identifier("_".join(words))

    @property
    def options(self):
        return {"arch": self.arch, "kernel": self.series, "smp": self.smp}

    def guest(self, qemu=None, **options):
        """A context manager; `qemu`: one of the programs beside the one to be used."""
        guest = Guest(**self.options, **options)
        if qemu:
            guest.qemu = program_beside(qemu, guest.machine.qemu)
        return guest


@dataclass(frozen=True)
class OldRow:
    """A guest of guests.json, of which these are the facts."""

    facts: dict

    @property
    def name(self):
        return identifier(self.facts["name"])

    def guest(self, qemu=None, boot_timeout=120):
        return old_guest.of_row(self.facts, qemu, boot_timeout)


def identifier(text):
    return text.replace(".", "_").replace("-", "_")


# Debian has built no i386 kernel since 6.5. Of armel's its archive has 6.1 only.
DEBIAN = (
    Row("amd64", "5.10", in_ci=True),
    Row("amd64", "6.1"),
    Row("amd64", "6.12", in_ci=True),
    Row("amd64", "newest"),
    Row("i386", "5.10"),
    Row("i386", "6.1", in_ci=True),
    Row("i386", "6.5"),
    Row("i386-686", "5.10"),
    Row("i386-686", "6.1"),
    Row("i386-686", "6.5"),
    Row("armhf", "5.10"),
    Row("armhf", "6.1", in_ci=True),
    Row("armhf", "6.12"),
    Row("armhf", "newest"),
    Row("armhf", "5.10", smp=2),
    Row("armhf", "6.1", smp=2),
    Row("armhf", "6.12", smp=2),
    Row("armhf", "newest", smp=2),
    Row("armhf-lpae", "5.10", smp=2),
    Row("armhf-lpae", "6.1", smp=2),
    Row("armhf-lpae", "6.12", smp=2),
    Row("armhf-lpae", "newest", smp=2),
    Row("armel", "6.1"),
    Row("arm64", "5.10"),
    Row("arm64", "6.1", in_ci=True),
    Row("arm64", "6.1", smp=2, in_ci=True),
    Row("arm64", "6.12"),
    Row("arm64", "newest"),
    Row("arm64-16k", "newest"),
)

OLD_ARCHITECTURES = ("i386", "x86_64", "arm", "aarch64")

# The counted programs of each architecture, and the entry that their system calls come by.
PROGRAMS = {
    "amd64": (("counted 200", "syscall"), ("counted32 200", "int80")),
    "i386": (("counted 50", "sysenter"), ("counted32 50", "int80")),
    "armhf": (("counted 200", "svc"),),
    "arm64": (("counted 300", "svc"), ("counted-now 300", "svc")),
}
PROGRAMS["i386-686"] = PROGRAMS["i386"]
PROGRAMS["armhf-lpae"] = PROGRAMS["armel"] = PROGRAMS["armhf"]
PROGRAMS["arm64-16k"] = PROGRAMS["arm64"]


def debian_rows(*architectures):
    """Of these architectures: with SWAT_ALL all, else the quick ones."""
    return [row for row in DEBIAN if row.arch in architectures and (case.ALL or row.in_ci)]


def old_rows(*architectures):
    return [OldRow(facts) for facts in old_guest.rows(architectures)]


def class_of(row, *bases, **members):
    """A test class of a row, for the module that asks."""
    options = {"guest_options": row.options} if isinstance(row, Row) else {}
    return {row.name: type(row.name, bases, {"row": row} | options | members)}


class RowChecks(case.EqualsProc, case.Counted):
    """For a GuestCase of one of Debian's, `row`."""

    row = None

    def test_doctor_names_the_release(self):
        release = self.guest.check("uname -r").strip()
        self.assertIn(f"guest: linux {release}\n",
                      swatd.output_of("doctor", *swatd.connection(self.guest)))

    def test_counts(self):
        for command, entry in PROGRAMS[self.row.arch]:
            with self.subTest(command), Trace(self.guest, "--names") as trace:
                pid, expected = self.count(command)
            self.assert_exact(trace, pid, expected, entry)
            # A call that ends in a page fault first, as its callee is not there yet, has no caller.
            for event in trace.events("call", pid=pid, function="strlen")[1:]:
                self.assertEqual((event["module"], event["caller_module"]),
                                 ("libc.so.6", command.split()[0]))

    def test_counts_without_structures(self):
        """As on a kernel whose structures cannot be made out: processes are address spaces."""
        for command, _ in PROGRAMS[self.row.arch]:
            with self.subTest(command):
                with Trace(self.guest, "--names", "--no-structures") as trace:
                    _, expected = self.count(command)
                self.assert_exact_without_structures(trace, command.split()[0], expected)

    def test_a_function_is_where_the_library_has_it(self):
        pid = self.guest.spawn("exec calls 1000000000 100")  # which forks
        with Trace(self.guest, "-e", "none", "--calls", "libc.so.6!malloc", "-p", "calls",
                   "--max-events", 10) as trace:
            trace.wait()
        base, path = next((start, path) for start, _, offset, _, path
                          in self.guest.proc_truth()[pid]["maps"]
                          if offset == 0 and path.endswith("/libc.so.6"))
        with tempfile.TemporaryDirectory() as root:
            unpack(self.guest.directory, root)
            values = [value for value, name in exported_functions(root + path)
                      if name == "malloc"]
        self.guest.check("killall calls")
        # The lowest address in the file is 0. In an ARM function's, bit 0 says that it is Thumb.
        self.assertEqual({int(event["address"], 16) & ~1 for event in trace.events("call")},
                         {(base + values[0]) & ~1})

    def test_functions_in_pages_that_no_process_has(self):
        pid = self.guest.start_dlopener(3, "drop")
        resident = "grep -A 20 'r-xp.*/libswattest.so' /proc/{}/smaps | grep -m 1 Rss:".format(pid)
        self.guest.check(f"until {resident} | grep -q ' 0 kB'; do :; done")
        names = {name for _, module, name, _ in swatd.functions(self.guest, pid)
                 if module == "libswattest.so"}
        self.guest.check(f"kill {pid}")
        self.assertEqual(names, {"swat_test_length", "swat_test_add"})

    def test_what_is_inferred_is_what_btf_tells(self):
        told, inferred = self.offsets(), self.offsets("--infer")
        has_btf = self.guest.run("[ -e /sys/kernel/btf/vmlinux ]")[0] == 0
        self.assertEqual(told[0], "BTF" if has_btf else "inference")
        self.assertEqual(inferred[0], "inference")
        self.assertGreater(len(told[1]), 25)
        self.assertEqual(inferred[1], told[1])

    def offsets(self, *options):
        """(where they are from, a line for each) as swatd profile says."""
        said = swatd.output_of("profile", *swatd.connection(self.guest), *options)
        source = re.search(r"^# offsets in bytes, from (\w+);", said, re.MULTILINE)[1]
        return source, [line for line in said.splitlines() if not line.startswith("#")]


class OldRowChecks(old_guest.EqualsProc, case.Counted):
    """Of an OldRow."""

    row = None

    @classmethod
    def setUpClass(cls):
        cls.guest = cls.enterClassContext(cls.row.guest())

    def test_doctor_names_the_release(self):
        release = re.search(r"Linux version (\S+)", self.guest.run("cat /proc/version"))[1]
        self.assertIn(f"guest: linux {release}\n",
                      swatd.output_of("doctor", *swatd.connection(self.guest)))

    # What a kernel has no handler for is not seen in its table. openat came with 2.6.16.
    NO_HANDLER = {"2.4.27": ["openat"], "2.6.10-5": ["openat"]}

    @property
    def no_handler(self):
        return self.NO_HANDLER.get(self.row.facts["kernel"], [])

    def seen(self, expected):
        return {what: times for what, times in expected.items() if what not in self.no_handler}

    def test_counts_without_structures(self):
        program = self.guest.counted_program()
        with Trace(self.guest, "--names", "--no-structures") as trace:
            _, expected = case.counted(self.guest.run(f"{program} 30", timeout=300))
        self.assert_exact_without_structures(trace, program.rsplit("/", 1)[-1], self.seen(expected))

    def test_counted_calls_of_a_library(self):
        program = self.guest.counted_program()
        with Trace(self.guest, "--names", "-e", "none") as trace:
            pid, expected = case.counted(self.guest.run(f"{program} 30", timeout=300))
        calls = {what: expected[what] for what in case.CALLS}
        self.assert_exact(trace, pid, calls)
        for event in trace.events("call", pid=pid, function="malloc"):
            self.assertRegex(event["module"], "musl|uClibc")
