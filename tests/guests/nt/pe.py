"""PE images: read from a file and put where a loader would, and made from nothing.

[Microsoft PE and COFF specification]
"""

import struct
from dataclasses import dataclass

from memory import PAGE, unpack_word, words

MACHINES = {"x86": 0x14c, "x64": 0x8664}
EXPORTS, IMPORTS, RELOCATIONS, DEBUG = 0, 1, 5, 6  # data directories
WRITABLE_SECTION = 0x80000000
CODE, DATA, READ_ONLY = 0x60000020, 0xc0000040, 0x40000040


def align(value, alignment=PAGE):
    return -(-value // alignment) * alignment


@dataclass
class Section:
    name: str
    address: int  # from the image's base
    size: int
    data: bytes
    characteristics: int

    @property
    def writable(self):
        return bool(self.characteristics & WRITABLE_SECTION)


class Image:
    """A PE file as a loader sees it."""

    def __init__(self, path):
        self.name = path.name
        data = path.read_bytes()
        new = unpack_word(data, 0x3c, 4)
        assert data[:2] == b"MZ" and data[new:new + 4] == b"PE\0\0", path
        section_count, optional_size = struct.unpack_from("<H12xH", data, new + 6)
        optional = new + 24
        self.pointer = {0x10b: 4, 0x20b: 8}[unpack_word(data, optional, 2)]
        self.entry = unpack_word(data, optional + 16, 4)
        wide = self.pointer == 8
        self.preferred = unpack_word(data, optional + (24 if wide else 28), self.pointer)
        self.size, header_size = struct.unpack_from("<II", data, optional + 56)
        self.timestamp = unpack_word(data, new + 8, 4)
        self.headers = data[:header_size]
        self._directories = optional + (112 if wide else 96)
        table = optional + optional_size
        self.sections = [self._section(data, table + 40 * i) for i in range(section_count)]
        self.base_field = optional + (24 if wide else 28)
        self.memory = self._as_mapped()
        self.exports = dict(self._exports())

    @staticmethod
    def _section(data, at):
        name, size, address, file_size, file_at, flags = struct.unpack_from("<8sIIII12xI", data, at)
        content = data[file_at:file_at + min(file_size, size)] if file_at else b""
        return Section(name.rstrip(b"\0").decode(), address, size, content, flags)

    def _as_mapped(self):
        memory = bytearray(self.size)
        memory[:len(self.headers)] = self.headers
        for section in self.sections:
            memory[section.address:section.address + len(section.data)] = section.data
        return memory

    def directory(self, number):
        """(address from the base, size)"""
        return struct.unpack_from("<II", self.headers, self._directories + 8 * number)

    def text(self, at):
        return self.memory[at:self.memory.index(0, at)].decode()

    def _exports(self):
        """(name, address from the base, or the text of a forwarder)"""
        at, size = self.directory(EXPORTS)
        if not size:
            return
        count, functions, names, ordinals = struct.unpack_from("<IIII", self.memory, at + 24)
        for i in range(count):
            name = self.text(unpack_word(self.memory, names + 4 * i, 4))
            ordinal = unpack_word(self.memory, ordinals + 2 * i, 2)
            target = unpack_word(self.memory, functions + 4 * ordinal, 4)
            yield name, self.text(target) if at <= target < at + size else target

    def relocated(self, base):
        """The image's bytes at that base."""
        memory = bytearray(self.memory)
        delta = base - self.preferred
        kinds = {3: 4, 10: 8}
        at, size = self.directory(RELOCATIONS)
        end = at + size
        while at < end:
            page, block = struct.unpack_from("<II", memory, at)
            for entry in struct.unpack_from(f"<{(block - 8) // 2}H", memory, at + 8):
                if entry >> 12:
                    width, where = kinds[entry >> 12], page + (entry & 0xfff)
                    value = unpack_word(memory, where, width) + delta
                    memory[where:where + width] = words(width, value)
            at += block
        memory[self.base_field:self.base_field + self.pointer] = words(self.pointer, base)
        return memory

    def imports(self):
        """(module, name, address of the slot from the base)"""
        at, size = self.directory(IMPORTS)
        if not size:
            return
        while any(self.memory[at:at + 20]):
            names, module, slots = struct.unpack_from("<I8xII", self.memory, at)
            for i in range(1 << 16):
                name = unpack_word(self.memory, (names or slots) + self.pointer * i, self.pointer)
                if not name:
                    break
                yield self.text(module), self.text(name + 2), slots + self.pointer * i
            at += 20


class Writer:
    """Makes an image: sections first, then the directories that describe them."""

    def __init__(self, arch, base, timestamp=0x48025b00):
        self.arch, self.base, self.timestamp = arch, base, timestamp
        self.pointer = 8 if arch == "x64" else 4
        self.sections, self.directories = [], {}
        self.end = PAGE  # the headers' page

    def add(self, name, data, characteristics, directory=None, size=None):
        """A section behind what there is; its address from the base."""
        address = self.end
        self.sections.append(Section(name, address, size or len(data), data, characteristics))
        self.end = address + align(size or len(data))
        if directory is not None:
            self.directories[directory] = (address, len(data))
        return address

    def add_exports(self, name, symbols):
        """symbols: {name: address from the base}"""
        names = sorted(symbols)
        base = self.end
        functions_at = base + 40
        names_at = functions_at + 4 * len(names)
        ordinals_at = names_at + 4 * len(names)
        strings_at = ordinals_at + 2 * len(names)
        strings = name.encode() + b"\0"
        offsets = []
        for symbol in names:
            offsets.append(strings_at + len(strings))
            strings += symbol.encode() + b"\0"
        data = struct.pack("<IIHHIIIIIII", 0, self.timestamp, 0, 0, strings_at, 1, len(names),
                           len(names), functions_at, names_at, ordinals_at)
        data += words(4, *(symbols[symbol] for symbol in names)) + words(4, *offsets)
        data += words(2, *range(len(names))) + strings
        return self.add(".edata", data, READ_ONLY, EXPORTS)

    def add_imports(self, imports):
        """imports: {module: [name]}; {(module, name): address of the slot from the base}"""
        base, size = self.end, self.pointer
        descriptors, tables, strings, slots = b"", b"", b"", {}
        tables_at = align(base + 20 * (len(imports) + 1), size)
        lengths = [(len(names) + 1) * size for names in imports.values()]
        slots_at = tables_at + sum(lengths)
        strings_at = slots_at + sum(lengths)
        for (module, names), length in zip(imports.items(), lengths):
            lookup = []
            for i, name in enumerate(names):
                lookup.append(strings_at + len(strings))
                strings += b"\0\0" + name.encode() + b"\0"
                slots[module, name] = slots_at + len(tables) + i * size
            descriptors += struct.pack("<IIIII", tables_at + len(tables), 0, 0,
                                       strings_at + len(strings), slots_at + len(tables))
            strings += module.encode() + b"\0"
            tables += words(size, *lookup, 0)
        data = (descriptors + bytes(20)).ljust(tables_at - base, b"\0") + tables + tables + strings
        self.add(".idata", data, DATA, IMPORTS)
        return slots

    def add_debug(self, guid, age, pdb):
        """guid: 16 bytes as they are in memory."""
        record = b"RSDS" + guid + words(4, age) + pdb.encode() + b"\0"
        at = self.end + 28
        data = struct.pack("<IIHHIIII", 0, self.timestamp, 0, 0, 2, len(record), at, at) + record
        address = self.add(".rdata", data, READ_ONLY)
        self.directories[DEBUG] = (address, 28)

    def headers(self, entry=0, dll=True):
        wide = self.arch == "x64"
        directories = [self.directories.get(i, (0, 0)) for i in range(16)]
        optional = struct.pack("<HBBIIIII", 0x20b if wide else 0x10b, 9, 0, 0, 0, 0, entry, PAGE)
        optional += b"" if wide else words(4, 0)
        optional += words(self.pointer, self.base) + struct.pack(
            "<IIHHHHHHIIIIHH", PAGE, PAGE, 5, 1, 5, 1, 5, 1, 0, self.end, PAGE, 0, 1, 0)
        optional += words(self.pointer, 0x40000, 0x1000, 0x100000, 0x1000) + words(4, 0, 16)
        optional += b"".join(struct.pack("<II", *entry) for entry in directories)
        file = struct.pack("<HHIIIHH", MACHINES[self.arch], len(self.sections), self.timestamp, 0, 0,
                           len(optional), 0x2022 if dll else 0x22)
        table = b"".join(
            struct.pack("<8sIIIIIIHHI", s.name.encode(), s.size, s.address, align(len(s.data)),
                        s.address, 0, 0, 0, 0, s.characteristics) for s in self.sections)
        dos = b"MZ" + bytes(0x3a) + words(4, 0x80) + bytes(0x40)
        data = dos + b"PE\0\0" + file + optional + table
        assert len(data) <= PAGE
        return data.ljust(PAGE, b"\0")

    @property
    def size(self):
        return self.end
