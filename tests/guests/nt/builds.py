"""Which builds there are, and where things are in their address space.

A row of builds.json has all in which a guest differs from that of another build:
  layout        the row of layouts.json: offsets of structures (scripts/generate-nt-guest-layouts)
  arch, paging  x86 or x64; the row of memory.PAGINGS
  version, build, service_pack    as NtBuildNumber, KUSER_SHARED_DATA and the PEB say
  places        the row of PLACES below
  processors    how many the kernel can use: XP's entry by an absolute KPCR serves one alone
  entry         the file of ntoskrnl/ that has the entries of system calls; ..._shadow: with KVAS
  handles       what an entry of a handle table has: `pointer`, or `packed` bits (since 8.1)
  pdb           the name that the kernel's image has for its symbols
"""

import json
from dataclasses import dataclass
from pathlib import Path

from memory import PAGINGS, words

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Places:
    """Virtual addresses that such systems use; all of RAM at `window` is this kernel's own idea."""

    nt: int
    hal: int
    pool: int
    kpcrs: tuple  # one for each processor; the first one of XP is at a fixed address
    descriptors: tuple  # one for each processor: its GDT, IDT, TSS and small stack
    shared_data: int  # the kernel's view of KUSER_SHARED_DATA
    local_apic: int
    window: int
    stacks: int
    exe: int
    libraries: dict
    peb: int
    teb: int
    user_heap: int
    user_stack: int  # its top


SHARED_USER_DATA = 0x7ffe0000
X86 = Places(
    nt=0x804d7000, hal=0x806e4000, pool=0x81000000, kpcrs=(0xffdff000, 0xf8b1a000),
    descriptors=(0x8003f000, 0xf8b1e000), shared_data=0xffdf0000, local_apic=0xfffe0000,
    window=0xf0000000, stacks=0xf7a00000, exe=0x400000,
    libraries={"ntdll.dll": 0x7c900000, "kernel32.dll": 0x7c400000, "kernelbase.dll": 0x7ba00000,
               "win32u.dll": 0x75100000},
    peb=0x7ffd7000, teb=0x7ffdf000, user_heap=0x250000, user_stack=0x130000)
X64_LIBRARIES = {"ntdll.dll": 0x7ffb1c600000, "kernel32.dll": 0x7ffb1b200000,
                 "kernelbase.dll": 0x7ffb19f00000, "win32u.dll": 0x7ffb1a800000,
                 "wow64.dll": 0x7ffb18a00000, "wow64cpu.dll": 0x7ffb18800000}
X64_10 = Places(
    nt=0xfffff80264a00000, hal=0xfffff80264800000, pool=0xffffe00041200000,
    kpcrs=(0xfffff80263ad2000, 0xffffd00120a40000),
    descriptors=(0xfffff80266c5b000, 0xffffd00120a60000), shared_data=0xfffff78000000000,
    local_apic=0xfffff7e0fee00000, window=0xffff920000000000, stacks=0xffffd00123400000,
    exe=0x7ff6a0e10000, libraries=X64_LIBRARIES, peb=0x86b3a1e000, teb=0x86b3a20000,
    user_heap=0x1d6e2ac0000, user_stack=0x86b3d00000)
X64_7 = Places(
    nt=0xfffff80002a58000, hal=0xfffff80002a0f000, pool=0xfffffa8018d00000,
    kpcrs=(0xfffff80002c45000, 0xfffff880009eb000),
    descriptors=(0xfffff80000b95000, 0xfffff880009f8000), shared_data=0xfffff78000000000,
    local_apic=0xfffff7e0fee00000, window=0xffff920000000000, stacks=0xfffff88002f00000,
    exe=0x13fd70000,
    libraries={"ntdll.dll": 0x77a00000, "kernel32.dll": 0x777e0000, "kernelbase.dll": 0x7fefda00000,
               "win32u.dll": 0x7fefd100000,
               "wow64.dll": 0x74f00000, "wow64cpu.dll": 0x75100000},
    peb=0x7fffffdf000, teb=0x7fffffdd000, user_heap=0x2b0000, user_stack=0x130000)
# Where a 32-bit process has its two sides: TEB32 is 0x2000 behind TEB. [TEB.WowTebOffset]
WOW_NATIVE_SIDE = {"exe": 0x400000, "peb": 0x7efdf000, "teb": 0x7efdb000, "user_heap": 0x5a0000,
                   "user_stack": 0x90000}
WOW_SIDE = {"peb": 0x7efde000, "teb": 0x7efdd000}
WOW_BRIDGE = 0x7efd0000  # see wow64.py
PLACES = {"x86": X86, "x64_7": X64_7, "x64_10": X64_10}


class Layout:
    """Offsets of one build: layout["EPROCESS.Peb"]."""

    ALIASES = {"EPROCESS.Wow64Process": "EPROCESS.WoW64Process"}  # since 10.0.10586

    def __init__(self, structs):
        self.offsets = {f"{name[1:]}.{field}": offset for name, fields in structs.items()
                        for field, offset in fields.items()}
        for old, new in self.ALIASES.items():
            if new in self.offsets:
                self.offsets.setdefault(old, self.offsets[new])

    def __getitem__(self, name):
        return self.offsets[name]

    def __contains__(self, name):
        return name in self.offsets

    def size(self, struct):
        return self.offsets[f"{struct}.__size__"]

    def macros(self):
        """{STRUCT_Field: offset}, for the assembler."""
        return {name.replace(".", "_"): offset for name, offset in self.offsets.items()
                if ":" not in name and "__size__" not in name}


class Build:
    def __init__(self, key):
        rows = json.loads((FOLDER / "builds.json").read_text())
        layouts = json.loads((FOLDER / "layouts.json").read_text())
        row = rows[key]
        self.key = key
        self.layout = Layout(layouts[row["layout"]]["structs"])
        self.arch, self.paging = row["arch"], PAGINGS[row["paging"]]
        self.pointer = 8 if self.arch == "x64" else 4
        self.version, self.number = tuple(row["version"]), row["build"]
        self.service_pack = int(row["service_pack"], 16)
        self.places = PLACES[row["places"]]
        self.entry, self.handles = row["entry"], row["handles"]
        self.processors = row["processors"]
        self.pdb = row["pdb"]
        if self.arch == "x64":
            self.layout.offsets.setdefault("KPCR.Prcb", 0x180)  # newer PDBs end before it

    @property
    def prcb(self):
        """Where the KPRCB is in the KPCR."""
        return self.layout["KPCR.Prcb" if self.arch == "x64" else "KPCR.PrcbData"]

    @property
    def shadowed(self):
        """User mode has page tables of its own (KVAS)."""
        return "shadow" in self.entry


class Structure:
    """One of a build's structures in memory: structure["Peb"] = address."""

    def __init__(self, space, build, name, address):
        self.space, self.build, self.name, self.address = space, build, name, address

    def at(self, field):
        return self.address + self.build.layout[f"{self.name}.{field}"]

    def __contains__(self, field):
        return f"{self.name}.{field}" in self.build.layout

    def __setitem__(self, field, value):
        """A pointer or a number of that size; bytes are taken as they are."""
        data = value if isinstance(value, bytes) else words(self.build.pointer, value)
        self.space.write(self.at(field), data)

    def set_if_there(self, field, value):
        if field in self:
            self[field] = value


def unicode_string(pointer, text, buffer):
    """UNICODE_STRING and what it points to: (structure, characters)."""
    characters = text.encode("utf-16-le")
    head = words(2, len(characters), len(characters) + 2)
    return head + bytes(pointer - 4) + words(pointer, buffer), characters + b"\0\0"
