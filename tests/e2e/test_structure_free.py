"""What swatd knows of a guest without its kernel's structures: address spaces, the program on the stack
of each, and the ELF images in its pages.

On Debian's 6.1: asked for (--no-structures), and because the guest does not agree with any. Counted
programs on other kernels: matrix.py.
"""

import tempfile
from pathlib import Path

import case
import swatd
from gdbclient import RspClient
from swatd import Trace, connection

WITHOUT = "--no-structures"


def basename(path):
    return path.rsplit("/", 1)[-1]


class StructureFree(case.Counted):
    """The assertions; the guests below differ."""

    def trace_of(self, program, *arguments, options=(WITHOUT,)):
        with Trace(self.guest, "--names", *options) as trace:
            _, expected = self.count(program, *arguments)
        return trace, expected

    def test_counts_of_programs(self):
        for program in ("counted", "counted-now", "counted-noplt"):
            with self.subTest(program):
                trace, expected = self.trace_of(program, 200)
                self.assert_exact_without_structures(trace, program, expected)
                self.assertTrue(any(line.endswith(f" getpid {program}/?") for line in trace.log()))

    def test_counts_of_a_32_bit_program(self):
        trace, expected = self.trace_of("counted32", 100)
        self.assert_exact_without_structures(trace, "counted32", expected)

    def test_counts_of_selected_calls(self):
        trace, expected = self.trace_of("counted", 100,
                                        options=[WITHOUT, "-e", "getpid", "-p", "counted"])
        del expected["openat"]
        self.assert_exact_without_structures(trace, "counted", expected)
        self.assertEqual({event["process"] for event in trace.events("syscall")}, {"counted"})

    def test_modules_are_where_proc_has_them(self):
        with Trace(self.guest, "--names", WITHOUT) as trace:
            pid = self.guest.start_dlopener(3)
            truth = self.guest.proc_truth()[pid]["maps"]
        self.guest.check(f"kill {pid}")
        seen = {}
        for event in trace.events(process="dlopener"):
            if event["event"] == "module_loaded":
                seen[event["start"]] = basename(event["path"])
            elif event["event"] == "module_unloaded":
                del seen[event["start"]]
        there = {f"{start:x}": basename(path) for start, _, offset, _, path in truth if offset == 0}
        self.assertEqual(seen, {start: there.get(start) for start in seen})
        self.assertLessEqual({"dlopener", "libc.so.6", "ld-linux-x86-64.so.2", "libswattest.so"},
                             set(seen.values()))

    def test_processes_are_told_apart(self):
        with Trace(self.guest, "--names", WITHOUT) as trace:
            self.guest.check("true; sleep 0.01; cat /dev/null")
        for kind in ("syscall", "process_exited"):  # what has started was still called sh
            names = {event["process"] for event in trace.events(kind)}
            self.assertLessEqual({"sleep", "cat"}, names, kind)

    def test_ps_and_modules_list_what_does_not_run(self):
        pid = self.guest.spawn("exec sleep 1000")
        truth = {number: process for number, process in self.guest.proc_truth().items()
                 if process["maps"]}
        ps = swatd.output_of("ps", *connection(self.guest), WITHOUT).splitlines()[1:]
        modules = swatd.output_of("modules", *connection(self.guest), WITHOUT).splitlines()
        self.guest.check(f"kill {pid}")
        self.assertEqual(sorted(line.split(None, 2) for line in ps),
                         sorted(["?", "?", process["name"]] for process in truth.values()))
        starts = {f"{start:x}" for process in truth.values() for start, *_ in process["maps"]}
        self.assertLessEqual({line.split()[1].split("-")[0] for line in modules}, starts)
        libraries = sorted((f"{start:x}", basename(path)) for process in truth.values()
                           for start, _, offset, _, path in process["maps"]
                           if ".so" in path and offset == 0)
        self.assertEqual(sorted((line.split()[1].split("-")[0], basename(line.split()[-1]))
                                for line in modules
                                if ".so" in line and line.split()[2] == "0"), libraries)

    def test_doctor_says_what_is_used_and_what_is_missing(self):
        said = swatd.output_of("doctor", *connection(self.guest), WITHOUT)
        self.assertIn(f"guest: linux {self.guest.check('uname -r').strip()}", said)
        self.assertIn("structures: not used, as --no-structures was given", said)
        self.assertRegex(said, "processes: page tables, .* not known are numbers")

    def test_what_needs_the_structures_is_refused(self):
        for options in (["--returns"], ["-p", "1"], ["-p", "init", "-f"], ["--traps", "exec-log"]):
            with self.subTest(options):
                done = swatd.once(*connection(self.guest), WITHOUT, *options)
                self.assertEqual(done.returncode, swatd.UNSUPPORTED)
                self.assertIn("needs the kernel's structures", done.stderr)


class OneVcpu(StructureFree, case.GuestCase):
    pass


class Isolated(StructureFree, case.GuestCase):
    """With page-table isolation there are two tables of each process."""

    guest_options = {"cpu": "Haswell", "append": "pti=on"}


class TwoVcpus(StructureFree, case.GuestCase):
    guest_options = {"smp": 2}


if not case.ALL:
    del Isolated, TwoVcpus


class Unagreeable(case.Counted, case.GuestCase):
    """A guest that fits no profile: its idle task is renamed, which no structure's finder takes."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        name = b"swapper/0".ljust(16, b"\0")  # task_struct.comm
        places = cls.places_of(name)
        assert places, "no task called swapper/0"
        client = RspClient(cls.guest.gdb_address)
        client.ask("Qqemu.PhyMemMode:1")
        for at in places:
            client.ask(f"M{at:x},1:{ord('x'):x}")
        client.ask("Qqemu.PhyMemMode:0")
        client.close()

    @classmethod
    def places_of(cls, wanted):
        """Physical addresses."""
        size = cls.guest.qmp("query-memory-size-summary")["base-memory"]
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "ram"
            cls.guest.qmp("pmemsave", val=0, size=size, filename=str(copy))
            ram = copy.read_bytes()
        places = []
        while (at := ram.find(wanted, places[-1] + 1 if places else 0)) >= 0:
            places.append(at)
        return places

    def test_is_traced_without_structures(self):
        with Trace(self.guest, "--names") as trace:
            _, expected = self.count("counted", 100)
        self.assertIn("going on without the kernel's structures: linux: a Linux, but where it keeps "
                      "its structures is not known for certain", trace.diagnostics())
        self.assert_exact_without_structures(trace, "counted", expected)

    def test_doctor_says_why(self):
        said = swatd.output_of("doctor", *connection(self.guest))
        self.assertIn("structures: not used, linux: a Linux, but where it keeps", said)


if __name__ == "__main__":
    case.main()
