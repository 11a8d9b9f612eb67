"""The kernel's side: ntoskrnl and hal as images, and what every processor has of its own."""

import struct

import assembler
import pe
from builds import SHARED_USER_DATA, Structure, unicode_string
from description import Processor
from memory import PAGE, PRESENT, WRITABLE, words
from story import NO_KEY, OPENED_HANDLE, OPENS, WAIT, YIELD

BOOT_PA = 0x100000
BOOT_STACK = 0x2000  # as in kernel/boot.inc
HAL_OWN = {"x86": 0x94, "x64": 0xc0}  # KPCR.HalReserved
STACK_SIZE = 0x3000
HOLE = 0x3000  # in ntoskrnl
BITS = {"x86": "32", "x64": "64"}

# What of ntoskrnl/ is exported, if the architecture has it.
EXPORTS = """NtBuildNumber PsInitialSystemProcess PsProcessType PsThreadType IoFileObjectType
ExEventObjectType PsGetProcessId PsGetProcessPeb PsGetProcessInheritedFromUniqueProcessId
PsGetProcessSectionBaseAddress PsGetProcessExitStatus PsGetProcessImageFileName PsGetThreadId
PsGetThreadProcessId PsGetThreadTeb PsGetCurrentThread KeGetCurrentThread PsGetCurrentProcess
IoGetCurrentProcess PsGetCurrentThreadStackBase PsGetProcessWow64Process""".split()
X86_EXPORTS = ["KeServiceDescriptorTable"]
V10_EXPORTS = ["PsLoadedModuleList"]

# The first instructions of functions of 32-bit builds. [mov edi,edi since XP SP2]
PROLOGUE = "mov %edi, %edi; push %ebp; mov %esp, %ebp;"


def build_hal(build):
    """The compiled kernel, with what the PE header's page shifts it by."""
    folder = assembler.FOLDER / "kernel"
    bits = BITS[build.arch]
    sources = [f"boot{bits}.S", f"switch{bits}.S", "hal.c", "serial.c", "memory.c", f"cpu{bits}.c"]
    base = build.places.hal + PAGE
    return assembler.build(build.arch, base, [folder / source for source in sources],
                           {"HAL_VA": base, "BOOT_PA": BOOT_PA}, alignment=16)


def build_ntoskrnl(build, hal, services, symbols, scrambled):
    """services: [[(bytes or words of arguments, function name)] of each table]"""
    folder = assembler.FOLDER / "ntoskrnl"
    does = {WAIT: "HalWaitPointer", YIELD: "HalYieldPointer", OPENS: "StatusOpenedPointer",
            NO_KEY: "StatusNotFoundPointer"}
    lines = [f"SERVICE {table}, {arguments}, {does.get(name, 'StatusSuccessPointer')}"
             for table, rows in enumerate(services) for arguments, name in rows]
    accessors = "_scrambled" if scrambled else BITS[build.arch]
    defines = build.layout.macros() | {
        "ENTRY": f'"{folder / build.entry}"',
        "ACCESSORS": f'"{folder}/accessors{accessors}.inc"',
        "PROLOGUE": PROLOGUE, "KPCR_VA": build.places.kpcrs[0],
        "SHARED_USER_DATA": build.places.shared_data, "POINTER_SIZE": build.pointer,
        "POINTER": ".quad" if build.pointer == 8 else ".long", "BUILD": build.number,
        "SERVICE_PACK": build.service_pack, "OPENED_HANDLE": OPENED_HANDLE,
        "SERVICES_0": len(services[0]), "SERVICES_1": len(services[1]),
    }
    calls = {name: hal.symbols[name] for name in ("HalService", "HalTrap", "HalWait", "HalYield")}
    return assembler.build(
        build.arch, build.places.nt + PAGE + HOLE, [folder / f"nt{BITS[build.arch]}.S"], defines,
        {"services.inc": "\n".join(lines) + "\n"}, calls | symbols)


def nt_image(build, linked):
    """The image's sections and directories."""
    writer = pe.Writer(build.arch, build.places.nt)
    # Freed once Windows has started: nothing is behind it, and who looks down from the entries for the
    # image's head has to get past it.
    writer.add("INIT", b"", pe.CODE, size=HOLE)
    parts = [(".text", "text", pe.CODE), ("KVASCODE", "shadow", pe.CODE), (".data", "data", pe.DATA)]
    for name, part, flags in parts:
        offset, data = linked.part(part)
        if data:
            assert linked.base + offset == build.places.nt + writer.end
            writer.add(name, data, flags)
    writer.add_debug(bytes(range(0x51, 0x61)), 2, build.pdb)
    wanted = EXPORTS + (X86_EXPORTS if build.arch == "x86" else [])
    wanted += V10_EXPORTS if build.version >= (10, 0) else []
    writer.add_exports("ntoskrnl.exe", {name: linked.symbols[name] - build.places.nt
                                        for name in wanted if name in linked.symbols})
    return writer


def map_image(space, writer, base, rights=PRESENT | WRITABLE):
    space.allocate(base, PAGE, rights)
    space.write(base, writer.headers())
    for section in writer.sections:
        if section.data:
            space.allocate(base + section.address, section.size, rights)
            space.write(base + section.address, section.data)


# Descriptor tables

CODE32, DATA32, CODE64 = 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
RING3 = 3 << 45


def descriptor(base, limit, access, flags=0):
    """[Intel SDM volume 3, 3.4.5]"""
    return (limit & 0xffff | (base & 0xffffff) << 16 | access << 40 | (limit >> 16 & 15) << 48
            | flags << 52 | (base >> 24 & 0xff) << 56)


def gdt32(kpcr, tss):
    """NT's: KGDT_R0_CODE 8, KGDT_R0_DATA 10, KGDT_R3_CODE 18, KGDT_R3_DATA 20, KGDT_TSS 28,
    KGDT_R0_PCR 30, KGDT_R3_TEB 38."""
    return words(8, 0, CODE32, DATA32, CODE32 | RING3, DATA32 | RING3, descriptor(tss, 0x67, 0x89),
                 descriptor(kpcr, 0x1fff, 0x93, 12), descriptor(0, 0xfff, 0xf3, 4))


def gdt64(tss):
    """NT's: KGDT64_R0_CODE 10, KGDT64_R0_DATA 18, KGDT64_R3_CMCODE 20, KGDT64_R3_DATA 28,
    KGDT64_R3_CODE 30, KGDT64_SYS_TSS 40, KGDT64_R3_CMTEB 50."""
    return words(8, 0, 0, CODE64, DATA32, CODE32 | RING3, DATA32 | RING3, CODE64 | RING3, 0,
                 descriptor(tss, 0x67, 0x89), tss >> 32, descriptor(0, 0xfff, 0xf3, 4))


def idt32(handlers):
    """Interrupt gates. handlers: {vector: (address, lowest ring that may use it)}"""
    table = bytearray(256 * 8)
    for vector, (at, ring) in handlers.items():
        struct.pack_into("<HHHH", table, 8 * vector, at & 0xffff, 8, 0x8e00 | ring << 13, at >> 16)
    return bytes(table)


def idt64(handlers):
    table = bytearray(256 * 16)
    for vector, (at, ring) in handlers.items():
        struct.pack_into("<HHHHII", table, 16 * vector, at & 0xffff, 0x10, 0x8e00 | ring << 13,
                         at >> 16 & 0xffff, at >> 32, 0)
    return bytes(table)


def trap_handlers(linked):
    return {int(name[6:], 16): (at, 3 if name == "KiTrap03" else 0)
            for name, at in linked.symbols.items() if name.startswith("KiTrap") and len(name) == 8}


# Where a processor's tables are in its `descriptors`.
GDT_AT, TSS_AT, SMALL_STACK_END, IDT_AT, DESCRIPTORS_SIZE = 0, 0x200, 0x1000, 0x1000, 0x2000


class ProcessorMaker:
    """Lays out one processor: KPCR, descriptor tables, and what hal.c must know of it."""

    def __init__(self, guest, number, idle_thread):
        self.guest, self.build, self.number = guest, guest.build, number
        self.idle_thread = idle_thread
        self.kpcr_at = self.build.places.kpcrs[number]
        self.tables = self.build.places.descriptors[number]
        space = guest.kernel
        size = max(self.build.layout.size("KPCR"), 0xd000 if self.build.arch == "x64" else PAGE)
        space.allocate(self.kpcr_at, size)
        space.allocate(self.tables, DESCRIPTORS_SIZE)
        self.kpcr = Structure(space, self.build, "KPCR", self.kpcr_at)
        self.kprcb = Structure(space, self.build, "KPRCB", self.kpcr_at + self.build.prcb)
        self.boot_stack = guest.boot_stacks + BOOT_STACK * (number + 1)

    def fill_common(self):
        self.kprcb["CurrentThread"] = self.idle_thread
        self.kprcb["IdleThread"] = self.idle_thread
        self.kprcb["MajorVersion"] = words(2, 1)
        self.kprcb["MinorVersion"] = words(2, 1)
        self.kprcb["Number"] = bytes([self.number])
        self.kpcr["KdVersionBlock"] = self.guest.nt.symbols["KdVersionBlock"]

    def processor(self, **fields):
        return Processor(
            gdt=(self.tables + GDT_AT, 0x7f), own_pointer=self.kpcr_at + HAL_OWN[self.build.arch],
            current_thread=self.kprcb.at("CurrentThread"), idle_thread=self.idle_thread,
            **fields)

    def make32(self):
        space, linked, tss = self.guest.kernel, self.guest.nt, self.tables + TSS_AT
        handlers = trap_handlers(linked) | {0x2e: (linked.symbols["KiSystemService"], 3)}
        idt_at = self.tables + 0x400
        space.write(self.tables + GDT_AT, gdt32(self.kpcr_at, tss))
        space.write(idt_at, idt32(handlers))
        space.write(tss, words(4, 0, 0, 0x10).ljust(0x68, b"\0"))
        self.fill_common()
        self.kpcr["SelfPcr"] = self.kpcr_at
        self.kpcr["Prcb"] = self.kprcb.address
        self.kpcr["IDT"] = idt_at
        space.write(self.kpcr_at + 0x3c, words(4, self.tables, tss))  # GDT, TSS: all builds
        # SYSENTER's own stack is used until ESP is loaded from the TSS.
        registers = [(0x174, 8), (0x175, self.boot_stack - 0x1c00),
                     (0x176, linked.symbols["KiFastCallEntry"])]
        return self.processor(
            idt=(idt_at, 0x7ff), task_selector=0x28, pcr_selector=0x30, registers=registers,
            stack_slots=[tss + 4], tables_slot=0, teb_descriptor=self.tables + 0x38)

    def make64(self):
        space, linked, tss = self.guest.kernel, self.guest.nt, self.tables + TSS_AT
        space.write(self.tables + GDT_AT, gdt64(tss))
        space.write(self.tables + IDT_AT, idt64(trap_handlers(linked)))
        self.fill_common()
        self.kpcr["Self"] = self.kpcr_at
        self.kpcr["CurrentPrcb"] = self.kprcb.address
        self.kpcr["IdtBase"] = self.tables + IDT_AT
        space.write(self.kpcr_at, words(8, self.tables, tss))  # GdtBase, TssBase: all builds
        if self.build.shadowed:
            entry, slots, tables_slot = "KiSystemCall64Shadow", *self._shadow()
        else:
            entry, slots, tables_slot = "KiSystemCall64", [self.kprcb.at("RspBase"), tss + 4], 0
        registers = [(0xc0000081, 0x0023001000000000), (0xc0000082, linked.symbols[entry]),
                     (0xc0000084, 0x4700), (0xc0000101, self.kpcr_at), (0xc0000102, 0)]
        return self.processor(
            idt=(self.tables + IDT_AT, 0xfff), task_selector=0x40, pcr_selector=0,
            registers=registers, stack_slots=slots, tables_slot=tables_slot,
            teb_descriptor=self.tables + 0x50)

    def _shadow(self):
        """KVAS: interrupts come onto the small stack, and a page of the KPCR is the user's, too."""
        self.kprcb["KernelDirectoryTableBase"] = self.guest.kernel_tables
        tables_slot = self.kprcb.at("KernelDirectoryTableBase")
        small_stack = self.tables + SMALL_STACK_END
        self.guest.kernel.write(tables_slot + 0x800, words(8, small_stack))
        self.guest.kernel.write(self.tables + TSS_AT + 4, words(8, small_stack))
        return [self.kprcb.at("RspBaseShadow")], tables_slot

    def shadow_pages(self):
        yield self.tables, DESCRIPTORS_SIZE
        yield self.kprcb.at("KernelDirectoryTableBase"), PAGE

    def make(self):
        return {"x86": self.make32, "x64": self.make64}[self.build.arch]()


# What the whole system has once

def fill_shared_data(build, space, physical):
    """KUSER_SHARED_DATA. On x86 also KiFastSystemCall and KiFastSystemCallRet, which ntdll has on
    Windows and Wine's has not: mov edx,esp; sysenter; ret."""
    space.map(build.places.shared_data, physical, PAGE)
    data = Structure(space, build, "KUSER_SHARED_DATA", build.places.shared_data)
    data["NtMajorVersion"], data["NtMinorVersion"] = (words(4, part) for part in build.version)
    data["NtProductType"] = words(4, 3 if build.version == (5, 2) else 1)
    data.set_if_there("NtBuildNumber", words(4, build.number))
    data["NtSystemRoot"] = "C:\\WINDOWS\0".encode("utf-16-le")
    if build.arch == "x86":
        space.write(build.places.shared_data + FAST_CALL, bytes.fromhex("8bd40f34c3"))
        data["SystemCall"] = SHARED_USER_DATA + FAST_CALL
        data["SystemCallReturn"] = SHARED_USER_DATA + FAST_CALL + 4


FAST_CALL = 0x900


def fill_debugger_data(build, space, symbols):
    """DBGKD_GET_VERSION64 and KDDEBUGGER_DATA64: pointers have 64 bits, sign-extended."""
    extend = (lambda at: at | 0xffffffff << 32) if build.arch == "x86" else (lambda at: at)
    block, head = symbols["KdDebuggerDataBlock"], symbols["KdpDebuggerDataListHead"]
    version = symbols["KdVersionBlock"]
    machine = pe.MACHINES[build.arch]
    space.write(version, struct.pack("<HHBBHHBB", 0xf, build.number, 6, 0, 2, machine, 12, 0))
    space.write(version + 0x10, words(8, extend(build.places.nt), extend(symbols["PsLoadedModuleList"]),
                                      extend(head)))
    space.write(head, words(build.pointer, block, block))
    space.write(block, words(build.pointer, head, head).ljust(16, b"\0") + b"KDBG" + words(4, 0x290))
    for offset, value in ((0x18, build.places.nt), (0x48, symbols["PsLoadedModuleList"]),
                          (0x50, symbols["PsActiveProcessHead"]), (0x268, symbols["CmNtCSDVersion"])):
        space.write(block + offset, words(8, extend(value)))


def link_ring(space, pointer, head, links):
    """A list of LIST_ENTRYs with its head."""
    ring = [head, *links]
    for i, at in enumerate(ring):
        space.write(at, words(pointer, ring[(i + 1) % len(ring)], ring[i - 1]))


def put_text(heap, pointer, at, text):
    """A UNICODE_STRING at `at`, its characters in the heap."""
    head, characters = unicode_string(pointer, text, 0)
    buffer = heap.put(characters, 2)
    heap.space.write(at, unicode_string(pointer, text, buffer)[0])
