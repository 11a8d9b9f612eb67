"""Reads an NT guest's structures out of a copy of its RAM: an independent eye on what compose.py made.

Only the facts of guest.json about offsets are taken; pages, lists and strings are followed here.
"""

import copy
import re
from dataclasses import dataclass

PAGE = 0x1000
# Bits that each level of the tables translates, from the root down, and the size of an entry.
LEVELS = {"x86": ((22, 10), (12, 10)), "pae": ((30, 2), (21, 9), (12, 9)),
          "x64": ((39, 9), (30, 9), (21, 9), (12, 9))}


@dataclass(frozen=True)
class Module:
    base: int
    size: int
    path: str


class Memory:
    """RAM, and the registers that say how its page tables are made."""

    def __init__(self, ram, registers, facts):
        self.ram, self.offsets = ram, facts["offsets"]
        self.pointer = 8 if facts["arch"] == "x64" else 4
        control4 = int(re.search(r"CR4=([0-9a-f]+)", registers)[1], 16)
        kind = "x64" if self.pointer == 8 else "pae" if control4 & 0x20 else "x86"
        self.levels, self.entry_size = LEVELS[kind], 4 if kind == "x86" else 8
        self.kernel_tables = int(re.search(r"CR3=([0-9a-f]+)", registers)[1], 16)

    def narrow(self, offsets):
        """The same memory to a 32-bit program."""
        other = copy.copy(self)
        other.pointer, other.offsets = 4, offsets
        return other

    def _number(self, physical, size):
        return int.from_bytes(self.ram[physical:physical + size], "little")

    def physical(self, tables, virtual):
        """None where nothing is mapped. No large pages: the guest has none."""
        entry = self.entry(tables, virtual)
        return entry & 0xffffffffff000 | virtual % PAGE if entry & 1 else None

    def entry(self, tables, virtual):
        """The last level's, of a page that is not present, too; 0 where there are no tables."""
        at = tables & ~0x1f
        for level, (shift, bits) in enumerate(self.levels):
            index = virtual >> shift & (1 << bits) - 1
            entry = self._number(at + index * self.entry_size, self.entry_size)
            if not entry & 1 and level < len(self.levels) - 1:
                return 0
            at = entry & 0xffffffffff000
        return entry

    def read(self, virtual, size, tables=None):
        data = b""
        while len(data) < size:
            at = virtual + len(data)
            physical = self.physical(tables or self.kernel_tables, at)
            part = min(size - len(data), PAGE - at % PAGE)
            if physical is None:
                raise ValueError(f"{at:#x} is not mapped")
            data += self.ram[physical:physical + part]
        return data

    def number(self, virtual, size=None, tables=None):
        return int.from_bytes(self.read(virtual, size or self.pointer, tables), "little")

    def field(self, structure, name, size=None, tables=None):
        """structure: an address; name: STRUCT.Field."""
        return self.number(structure + self.offsets[name], size, tables)

    def ring(self, head, link, tables=None):
        """The structures on a list: their addresses, `link` being where they have their LIST_ENTRY."""
        found, at = [], self.number(head, tables=tables)
        while at != head and len(found) < 1000:
            before = self.number(at + self.pointer, tables=tables)
            assert self.number(before, tables=tables) == at, "the links do not match"
            found.append(at - link)
            at = self.number(at, tables=tables)
        return found

    def unicode(self, at, tables=None):
        length = self.number(at, 2, tables)
        return self.read(self.number(at + self.pointer, tables=tables), length,
                         tables).decode("utf-16-le")

    def dump(self, base, size, tables=None):
        """An image, with zeros where nothing is mapped."""
        parts = []
        for at in range(base, base + size, PAGE):
            physical = self.physical(tables or self.kernel_tables, at)
            parts.append(bytes(PAGE) if physical is None else self.ram[physical:physical + PAGE])
        return b"".join(parts)

    # Windows

    def handle(self, eprocess, handle, packed):
        """The object's address. `packed`: as entries are since 8.1."""
        table = self.field(eprocess, "EPROCESS.ObjectTable")
        entries = self.field(table, "HANDLE_TABLE.TableCode") & ~3
        entry = self.number(entries + handle // 4 * self.offsets["HANDLE_TABLE_ENTRY.__size__"])
        header = (entry >> 16 & ~0xf | 0xffff << 48) if packed else entry & ~7
        return header + self.offsets["OBJECT_HEADER.Body"]

    def object_name(self, at):
        """By the information in front of its header; None without."""
        header = at - self.offsets["OBJECT_HEADER.Body"]
        size = self.offsets["OBJECT_HEADER_NAME_INFO.__size__"]
        kind = "OBJECT_HEADER.InfoMask" if "OBJECT_HEADER.InfoMask" in self.offsets \
            else "OBJECT_HEADER.NameInfoOffset"
        if not self.field(header, kind, 1):
            return None
        return self.unicode(header - size + self.offsets["OBJECT_HEADER_NAME_INFO.Name"])

    def processes(self, first):
        """{pid: EPROCESS} from a process on. The head of the list is no process: it is in ntoskrnl."""
        link = self.offsets["EPROCESS.ActiveProcessLinks"]
        members, at = [first], self.number(first + link)
        while at != first + link and len(members) < 100:
            members.append(at - link)
            at = self.number(at)
        return {self.field(member, "EPROCESS.UniqueProcessId"): member for member in members
                if self.read(member, 1) == b"\3"}

    def modules(self, peb, tables, order="InLoadOrder"):
        ldr = self.field(peb, "PEB.Ldr", tables=tables)
        if not ldr:
            return []
        entries = self.ring(ldr + self.offsets[f"PEB_LDR_DATA.{order}ModuleList"],
                            self.offsets[f"LDR_DATA_TABLE_ENTRY.{order}Links"], tables)
        return [Module(self.field(entry, "LDR_DATA_TABLE_ENTRY.DllBase", tables=tables),
                       self.field(entry, "LDR_DATA_TABLE_ENTRY.SizeOfImage", 4, tables),
                       self.unicode(entry + self.offsets["LDR_DATA_TABLE_ENTRY.FullDllName"], tables))
                for entry in entries]

    def images(self, eprocess):
        """{first address: (last address, path without its drive)} of ranges that have an image's file,
        by the tree of VADs."""
        offsets, at = self.offsets, eprocess + self.offsets["EPROCESS.VadRoot"]
        if "MMVAD_SHORT.VadNode" in offsets:
            children = [offsets["RTL_BALANCED_NODE.Left"], offsets["RTL_BALANCED_NODE.Right"]]
        else:
            children = [offsets["MMVAD_SHORT.LeftChild"], offsets["MMVAD_SHORT.RightChild"]]
            at += children[1] if "MM_AVL_TABLE.BalancedRoot" in offsets else 0
        found, waiting = {}, [self.number(at)]
        while waiting and len(found) < 1000:
            vad = waiting.pop()
            if not vad:
                continue
            waiting += [self.number(vad + child) for child in children]
            tag = vad - offsets["POOL_HEADER.__size__"] + offsets["POOL_HEADER.PoolTag"]
            if self.read(tag, 4) != b"Vad ":
                continue
            area = self._area_of_vad(vad)
            if self.field(area, "CONTROL_AREA.u", 4) & 0x20:  # MMSECTION_FLAGS.Image
                found[self._vpn(vad, "StartingVpn")] = (self._vpn(vad, "EndingVpn") + PAGE - 1,
                                                        self._path_of_area(area))
        return found

    def _vpn(self, vad, name):
        if f"MMVAD_SHORT.{name}High" not in self.offsets:
            return self.field(vad, f"MMVAD_SHORT.{name}") * PAGE
        high = self.field(vad, f"MMVAD_SHORT.{name}High", 1)
        return (self.field(vad, f"MMVAD_SHORT.{name}", 4) | high << 32) * PAGE

    def _area_of_vad(self, vad):
        if "MMVAD.ControlArea" in self.offsets:
            return self.field(vad, "MMVAD.ControlArea")
        return self.field(self.field(vad, "MMVAD.Subsection"), "SUBSECTION.ControlArea")

    def _path_of_area(self, area):
        file = self.field(area, "CONTROL_AREA.FilePointer") & ~(self.pointer * 2 - 1)
        return self.unicode(file + self.offsets["FILE_OBJECT.FileName"])
