"""The NT test kernel is what it says: each build booted, and its memory, its images and its counts
compared with what stands in the story, in the DLLs' files and in QEMU's registers. swatd is not run:
other tests rely on this guest."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import case
import readobj
from gdbclient import RspClient
from nt_guest import NtGuest
from nt_memory import Memory

BYTES_OF_ENTRIES = {  # [hvmi's patterns; of XP it is believed]
    "sysenter_absolute.inc": "b923000000 6a30 0fa1 8ed9 8ec1 8b0d40f0dfff 8b6104 6a23 52 9c 6a02 83c208",
    "sysenter_fs.inc": "b923000000 6a30 0fa1 8ed9 8ec1 648b0d40000000 8b6104 6a23 52 9c 6a02 83c208",
    "syscall64.inc": "0f01f8 654889242510000000 65488b2425a8010000 6a2b 65ff342510000000 4153",
    "syscall64_shadow.inc": "0f01f8 6548892425....0000 65488b2425....0000 650fba2425....000001 72.."
                            " 0f22dc 65488b2425....0000 6a2b",
}
ACCESSORS = {"PsGetProcessId": "EPROCESS.UniqueProcessId", "PsGetProcessPeb": "EPROCESS.Peb",
             "PsGetProcessImageFileName": "EPROCESS.ImageFileName", "PsGetThreadTeb": "KTHREAD.Teb"}
ENTRY_SYMBOLS = ("KiFastCallEntry", "KiSystemCall64", "KiSystemCall64Shadow")


class Common:
    """For a TestCase with `build`, `entry` and `smp`: one guest for all its tests."""

    options = ()

    @classmethod
    def setUpClass(cls):
        cls.guest = cls.enterClassContext(NtGuest(cls.build, cls.smp, options=cls.options))
        facts = cls.guest.facts
        cls.memory = Memory(cls.guest.memory(), cls.guest.registers(), facts)
        cls.symbols = facts["symbols"]
        cls.temporary = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="swatd-nt-")))

    def dumped(self, name, base, size, tables=None):
        """A file with an image as it is in memory."""
        path = self.temporary / name
        path.write_bytes(self.memory.dump(base, size, tables))
        return path

    def ntoskrnl(self):
        row = self.guest.said("SYSTEM")[0]
        base = int(row["nt"], 16)
        return base, self.dumped("ntoskrnl.exe", base, int(row["nt_size"], 16))

    def processes(self):
        """{pid: EPROCESS} by what ntoskrnl exports."""
        base, image = self.ntoskrnl()
        exports = readobj.exports(image)
        return self.memory.processes(self.memory.number(base + exports["PsInitialSystemProcess"]))

    def expected_services(self, pid):
        """How often the process makes which system call in a round, by what its calls come to."""
        expected = {"NtDelayExecution": 1}
        for _, _, function, _, times in self.guest.facts["calls"][str(pid)]:
            service = {"CloseHandle": "NtClose"}.get(function, function)
            if service.startswith("Nt"):
                expected[service] = expected.get(service, 0) + times
        return expected

    def assert_counts_are_exact(self):
        """Of three rounds."""
        there = {row["pid"] for row in self.guest.said("PROCESS")}
        for _ in range(3):
            calls, services = self.guest.round()
            for pid, wanted in self.guest.facts["calls"].items():
                if pid not in there or not wanted:
                    continue
                for how, module, function, _, times in wanted:
                    self.assertEqual(calls[int(pid), how, f"{module}!{function}"], times)
                found = {name: times for (owner, name), times in services.items()
                         if owner == int(pid)}
                self.assertEqual(found, self.expected_services(pid))

    def code_of(self, name):
        """objdump's text of an exported function of ntoskrnl."""
        base, image = self.ntoskrnl()
        at = readobj.exports(image)[name]
        machine = "i386:x86-64" if self.guest.facts["arch"] == "x64" else "i386"
        return subprocess.run(
            ["objdump", "-D", "-b", "binary", "-m", machine, "-M", "intel", f"--start-address={at}",
             f"--stop-address={at + 16}", image], check=True, stdout=subprocess.PIPE, text=True).stdout

    def shown(self, name):
        """True if the function's code has the offset of its field."""
        offset = self.memory.offsets[ACCESSORS[name]]
        return bool(re.search(rf"[+,]0x{offset:x}\b", self.code_of(name)))


class NtGuestChecks(Common):
    """What holds for every build."""

    def test_processors_are_where_registers_say(self):
        text = self.guest.registers()
        if self.guest.facts["arch"] == "x64":
            kpcr = int(re.search(r"GS =\S+ ([0-9a-f]+)", text)[1], 16)
            own, prcb_at = "KPCR.Self", "KPCR.Prcb"
        else:
            gdt = int(re.search(r"GDT=\s+([0-9a-f]+)", text)[1], 16)
            low = self.memory.number(gdt + 0x30, 8)
            kpcr = low >> 16 & 0xffffff | low >> 32 & 0xff000000
            own, prcb_at = "KPCR.SelfPcr", "KPCR.PrcbData"
        self.assertEqual(kpcr, self.guest.facts["kpcrs"][0])
        self.assertEqual(self.memory.field(kpcr, own), kpcr)
        prcb = kpcr + self.memory.offsets[prcb_at]
        thread = self.memory.field(prcb, "KPRCB.CurrentThread")
        state = thread + self.memory.offsets["KTHREAD.ApcState"]
        process = self.memory.field(state, "KAPC_STATE.Process")
        self.assertEqual(self.memory.field(process, "EPROCESS.UniqueProcessId"), 0)  # it is idle

    def test_kernel_image(self):
        base, image = self.ntoskrnl()
        exports = readobj.exports(image)
        self.assertEqual(self.memory.number(base + exports["NtBuildNumber"], 4) & 0xffff,
                         int(self.guest.said("SYSTEM")[0]["build"]))
        text = subprocess.run(["llvm-readobj", "--coff-debug-directory", image], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        self.assertRegex(text, r"PDBFileName: nt\w+\.pdb")
        # Who looks down from the entries for the head of the image meets a hole.
        self.assertIsNone(self.memory.physical(self.memory.kernel_tables, base + 0x1000))
        self.assertEqual(self.memory.read(int(self.guest.said("DRIVER")[1]["base"], 16), 2), b"MZ")

    def test_accessors_show_offsets(self):
        for name in ACCESSORS:
            self.assertTrue(self.shown(name), self.code_of(name))

    def test_processes(self):
        memory, found = self.memory, self.processes()
        truth = {int(row["pid"]): row for row in self.guest.said("PROCESS")}
        self.assertEqual(set(found), set(truth))
        self.assertLessEqual({4, 332, 500, 616, 704}, set(truth))
        for pid, eprocess in found.items():
            row = truth[pid]
            self.assertEqual(memory.field(eprocess, "EPROCESS.InheritedFromUniqueProcessId"),
                             int(row["ppid"]))
            name = memory.read(eprocess + memory.offsets["EPROCESS.ImageFileName"], 15)
            self.assertEqual(name.split(b"\0")[0].decode(), row["name"][:14])
            self.assertEqual(memory.field(eprocess, "KPROCESS.DirectoryTableBase"),
                             int(row["cr3"], 16))
            self.assertEqual(memory.field(eprocess, "EPROCESS.Peb"), int(row["peb"], 16))

    def test_modules_and_command_lines(self):
        memory = self.memory
        lines = {int(row["pid"]): row["line"] for row in self.guest.said("COMMAND")}
        said = self.guest.said("MODULE")
        for row in self.guest.said("PROCESS"):
            peb, tables, pid = int(row["peb"], 16), int(row["cr3"], 16), int(row["pid"])
            if not peb:
                continue
            truth = [(int(m["base"], 16), int(m["size"], 16), m["path"]) for m in said
                     if int(m["pid"]) == pid]
            for order, first in (("InLoadOrder", 0), ("InMemoryOrder", 0),
                                 ("InInitializationOrder", 1)):
                found = [(m.base, m.size, m.path) for m in memory.modules(peb, tables, order)]
                self.assertEqual(found, truth[first:])
            parameters = memory.field(peb, "PEB.ProcessParameters", tables=tables)
            at = parameters + memory.offsets["RTL_USER_PROCESS_PARAMETERS.CommandLine"]
            self.assertEqual(memory.unicode(at, tables), lines[pid])

    def test_modules_of_the_32_bit_side(self):
        memory, truth = self.memory, self.guest.said("MODULE32")
        self.assertEqual(bool(truth), self.guest.facts["arch"] == "x64")
        if not truth:
            return
        row = next(row for row in self.guest.said("PROCESS") if row["name"] == "wow.exe")
        tables, eprocess = int(row["cr3"], 16), int(row["eprocess"], 16)
        peb = memory.field(eprocess, "EPROCESS.Wow64Process")
        if "EWOW64PROCESS.Peb" in memory.offsets:
            peb = memory.field(peb, "EWOW64PROCESS.Peb")
        found = memory.narrow(self.guest.facts["offsets32"]).modules(peb, tables)
        self.assertEqual([(m.base, m.size, m.path) for m in found],
                         [(int(m["base"], 16), int(m["size"], 16), m["path"]) for m in truth])
        self.assertEqual(memory.read(found[1].base, 2, tables), b"MZ")

    def test_ranges_of_images(self):
        for row in self.guest.said("PROCESS"):
            if row["name"] == "System":
                continue
            truth = {int(m["base"], 16): (int(m["base"], 16) + int(m["size"], 16) - 1, m["path"][2:])
                     for m in self.guest.said("MODULE") + self.guest.said("MODULE32")
                     if m["pid"] == row["pid"]}
            self.assertEqual(self.memory.images(int(row["eprocess"], 16)), truth)

    def test_handles(self):
        processes, packed = self.processes(), self.memory.offsets.get("HANDLE_TABLE_ENTRY.LowValue")
        for row in self.guest.said("HANDLE"):
            at = self.memory.handle(processes[int(row["pid"])], int(row["handle"], 16),
                                    packed is not None)
            if row["type"] == "File":
                name = self.memory.unicode(at + self.memory.offsets["FILE_OBJECT.FileName"])
                self.assertEqual(name, row["name"][2:])
            else:
                self.assertEqual(self.memory.object_name(at) or "", row["name"])

    def alpha(self):
        """(its page tables, {name: module})"""
        row = next(row for row in self.guest.said("PROCESS") if row["name"] == "alpha.exe")
        tables = int(row["cr3"], 16)
        return tables, {module.path.split("\\")[-1]: module
                        for module in self.memory.modules(int(row["peb"], 16), tables)}

    def test_libraries_are_relocated_files(self):
        tables, modules = self.alpha()
        for name in ("ntdll.dll", "win32u.dll"):
            base = modules[name].base
            for section in (".text", ".edata"):
                at, expected = readobj.relocated_section(self.guest.library(name), section, base)
                self.assertGreater(len(expected), 10000)
                self.assertEqual(self.memory.read(base + at, len(expected), tables), expected)

    def test_imports_lead_to_exports(self):
        tables, modules = self.alpha()
        exe, base = modules["alpha.exe"], modules["ntdll.dll"].base
        slots = readobj.imports(self.dumped("alpha.exe", exe.base, exe.size, tables))
        exports = readobj.exports(self.guest.library("ntdll.dll"))
        of_ntdll = {name: at for (module, name), at in slots.items() if module == "ntdll.dll"}
        self.assertLess({"NtClose", "NtYieldExecution"}, set(of_ntdll))
        for name, at in of_ntdll.items():
            self.assertEqual(self.memory.number(exe.base + at, tables=tables), base + exports[name])

    def test_pages_that_are_out(self):
        first, second = self.guest.said("PAGED_OUT")
        row = next(row for row in self.guest.said("PROCESS") if row["pid"] == first["pid"])
        entries = [self.memory.entry(int(row["cr3"], 16), int(page["address"], 16))
                   for page in (first, second)]
        self.assertEqual([entry & 0x801 for entry in entries], [0, 0x800])  # present, in transition
        at = entries[1] & 0xffffffffff000
        tables, modules = self.alpha()
        self.assertEqual(int(first["address"], 16), modules["win32u.dll"].base)
        self.assertEqual(self.memory.ram[at:at + 0x1000],
                         self.memory.read(int(second["address"], 16), 0x1000, tables))

    def test_counts_are_exact(self):
        self.assert_counts_are_exact()

    def test_enters_the_kernel_as_this_build_does(self):
        name = next(name for name in ENTRY_SYMBOLS if name in self.symbols)
        address = self.symbols[name]
        stub = RspClient(self.guest.gdb_address)
        self.assertEqual(stub.ask(f"Z0,{address:x},1"), "OK")
        stub.send("c")
        self.guest.start_round()
        self.assertRegex(stub.receive(), "^T05")
        code, text = stub.read(address, 48).hex(), self.guest.registers()
        self.assertRegex(code, "^" + BYTES_OF_ENTRIES[self.entry].replace(" ", ""))
        tables = int(re.search(r"CR3=([0-9a-f]+)", text)[1], 16)
        rows = self.guest.said("PROCESS")
        column = "user_cr3" if "shadow" in self.entry else "cr3"
        self.assertIn(tables, {int(row[column], 16) for row in rows})
        # With KVAS what the kernel knows of itself is not mapped yet.
        mapped = stub.read(self.symbols["PsInitialSystemProcess"], 4) is not None
        self.assertEqual(mapped, "shadow" not in self.entry)
        self.assertEqual(stub.ask(f"z0,{address:x},1"), "OK")
        stub.close()
        self.guest.finish_round()


class Story:
    """For a TestCase as above, whose guest is not needed after it: everything that happens later.
    Its accessors tell nothing, and threads lose the processor in the middle of their calls."""

    options = ("--scramble-accessors", "--repeat", "100")

    def seen(self):
        """Anew: ({pid: EPROCESS}, {pid: its modules' names})"""
        self.memory = Memory(self.guest.memory(), self.guest.registers(), self.guest.facts)
        processes, modules = self.processes(), {}
        for pid, eprocess in processes.items():
            peb = self.memory.field(eprocess, "EPROCESS.Peb")
            tables = self.memory.field(eprocess, "KPROCESS.DirectoryTableBase")
            modules[pid] = peb and [module.path.split("\\")[-1]
                                    for module in self.memory.modules(peb, tables)]
        return processes, modules

    def test_story(self):
        self.assertFalse(any(map(self.shown, ACCESSORS)))
        self.assert_counts_are_exact()
        self.assertNotIn(808, self.seen()[0])
        self.assertRegex(self.guest.step()[0], "PROCESS pid=808 ppid=500 .* name=late.exe")
        self.assertEqual(self.seen()[1][808], [])
        self.assertEqual(len(self.guest.step()), 2)
        self.assertEqual(self.seen()[1][808], ["late.exe", "ntdll.dll"])
        calls, services = self.guest.round()
        self.assertEqual(calls[808, "iat", "ntdll.dll!NtClose"], 1700)
        self.assertEqual(services[808, "NtTerminateProcess"], 100)
        self.assertEqual(self.seen()[1][704], ["gamma.exe", "ntdll.dll"])
        self.assertRegex(self.guest.step()[0], r"MODULE pid=704 .*\\win32u.dll")
        self.assertEqual(self.seen()[1][704], ["gamma.exe", "ntdll.dll", "win32u.dll"])
        self.assertRegex(self.guest.step()[0], "UNLOADED pid=704")
        self.assertEqual(self.seen()[1][704], ["gamma.exe", "ntdll.dll"])
        self.assertEqual(self.guest.step(), ["ENDED pid=808"])
        self.assertNotIn(808, self.seen()[0])
        self.assertNotIn((808, "NtClose"), self.guest.round()[1])
        self.assertEqual(len(self.guest.step()), 2)  # pages come in
        page = self.guest.said("PAGED_OUT")[0]
        tables = self.memory.field(self.seen()[0][int(page["pid"])], "KPROCESS.DirectoryTableBase")
        self.assertEqual(self.memory.read(int(page["address"], 16), 2, tables), b"MZ")


ROWS = {  # build: (form of its entry, number of vCPUs)
    "xp_sp2": ("sysenter_absolute.inc", 1), "xp_sp3": ("sysenter_absolute.h", 1),
    "xp_sp3_mp": ("sysenter_fs.inc", 2), "w2003_sp2": ("sysenter_fs.h", 2),
    "win7_sp1": ("syscall64.inc", 2), "win7_sp1_kvas": ("syscall64_shadow.h", 1),
    "win10_10240": ("syscall64.inc", 1), "win10_17134": ("syscall64_shadow.h", 1),
    "win10_19041": ("syscall64.inc", 1), "win10_19041_kvas": ("syscall64_shadow.h", 2),
    "win10_22h2": ("syscall64_shadow.inc", 1), "win11_22621": ("syscall64.h", 1),
}
# Each kind of entry and of page tables once; with SWAT_ALL every build.
USUAL = {"xp_sp2", "xp_sp3_mp", "win7_sp1", "win10_22h2"}
STORIES = {"w2003_sp2", "win10_19041_kvas"}


def load_tests(loader, _, __):
    suite = unittest.TestSuite()
    for build, (entry, smp) in ROWS.items():
        names = {"build": build, "entry": entry, "smp": smp}
        if case.ALL or build in USUAL:
            checks = type(build, (NtGuestChecks, unittest.TestCase), names)
            suite.addTests(loader.loadTestsFromTestCase(checks))
        if build in STORIES:
            story = type(f"{build}_story", (Story, Common, unittest.TestCase), names)
            suite.addTests(loader.loadTestsFromTestCase(story))
    return suite


if __name__ == "__main__":
    case.main()
