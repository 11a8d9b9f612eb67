"""Objects of the kernel: headers, types, handle tables, file objects."""

from builds import Structure
from kernel import put_text
from memory import words

TYPES = {"Type": 2, "Directory": 3, "Process": 7, "Thread": 8, "Event": 16, "File": 37}  # indices as in Windows 10
SECTION_OF_IMAGE, SECTION_OF_FILE = 0x20, 0x80  # MMSECTION_FLAGS: bits 5 and 7
COOKIE = 0x5a  # ObHeaderCookie, which a type's index is disguised with since 10.0


class Objects:
    def __init__(self, build, pool):
        self.build, self.pool = build, pool
        self.types = {name: 0 for name in TYPES}
        for name in TYPES:
            self.types[name] = self._make_type(name)
        self.named = 0
        root = self._make_directory("\\")
        self.named = root
        self.named = self._make_directory("BaseNamedObjects")

    def _make_directory(self, name):
        return self.make("Directory", 0x160, name)

    def _make_type(self, name):
        at = self.make("Type", self.build.layout.size("OBJECT_TYPE"))
        kind = Structure(self.pool.space, self.build, "OBJECT_TYPE", at)
        put_text(self.pool, self.build.pointer, kind.at("Name"), name)
        kind["Index"] = words(4, TYPES[name])
        return at

    def make(self, kind, size, name=None):
        """Room for an object's body behind its header and, if it has a name, that; its address. What
        has a name is in \\BaseNamedObjects."""
        build, pool = self.build, self.pool
        header_size = build.layout["OBJECT_HEADER.Body"]
        info_size = build.layout.size("OBJECT_HEADER_NAME_INFO") if name else 0
        at = pool.allocate(info_size + header_size + size) + info_size
        header = Structure(pool.space, build, "OBJECT_HEADER", at)
        header["PointerCount"], header["HandleCount"] = 1, 1
        if name:
            info = Structure(pool.space, build, "OBJECT_HEADER_NAME_INFO", at - info_size)
            put_text(pool, build.pointer, info.at("Name"), name)
            info["Directory"] = self.named
            header.set_if_there("NameInfoOffset", bytes([info_size]))
            header.set_if_there("InfoMask", bytes([2]))
        header.set_if_there("Type", self.types[kind])
        if "TypeIndex" in header:
            disguise = COOKIE ^ at >> 8 & 0xff if build.version >= (10, 0) else 0
            header["TypeIndex"] = bytes([TYPES[kind] ^ disguise])
        return at + header_size

    def make_file(self, path):
        """path: with a drive, of which the object has nothing."""
        at = self.make("File", self.build.layout.size("FILE_OBJECT"))
        file = Structure(self.pool.space, self.build, "FILE_OBJECT", at)
        file["Type"] = words(2, 5)
        file["Size"] = words(2, self.build.layout.size("FILE_OBJECT"))
        put_text(self.pool, self.build.pointer, file.at("FileName"), path[2:])
        return at

    def make_section(self, path, is_image):
        """What EPROCESS.SectionObject points to: (section, control area, file object)."""
        build, space = self.build, self.pool.space
        file = self.make_file(path)
        area_at = self.pool.allocate(build.layout.size("CONTROL_AREA"))
        area = Structure(space, build, "CONTROL_AREA", area_at)
        # Since Vista the low bits count references.
        area["u"] = words(4, SECTION_OF_FILE | (SECTION_OF_IMAGE if is_image else 0))
        area["FilePointer"] = file | (0 if build.version < (6, 0) else 7 if build.pointer == 4 else 15)
        if build.version >= (10, 0):
            section = self.pool.allocate(build.layout.size("SECTION"))
            Structure(space, build, "SECTION", section)["u1"] = area_at
        else:
            section = self.pool.allocate(build.layout.size("SECTION_OBJECT"))
            segment = self.pool.allocate(build.layout.size("SEGMENT"))
            Structure(space, build, "SECTION_OBJECT", section)["Segment"] = segment
            Structure(space, build, "SEGMENT", segment)["ControlArea"] = area_at
            area["Segment"] = segment
        return section, area_at, file

    def make_handle_table(self, process, pid, handles):
        """process: its EPROCESS; handles: {handle: object}. One page of entries, as small processes have."""
        build, pool = self.build, self.pool
        entry_size = build.layout.size("HANDLE_TABLE_ENTRY")
        entries = pool.allocate(0x1000, 0x1000)
        for handle, at in handles.items():
            header = at - build.layout["OBJECT_HEADER.Body"]
            pool.space.write(entries + handle // 4 * entry_size,
                             words(build.pointer, self._entry(header), 0x1f0003))
        table = pool.allocate(build.layout.size("HANDLE_TABLE"))
        structure = Structure(pool.space, build, "HANDLE_TABLE", table)
        structure["TableCode"] = entries
        structure["QuotaProcess"], structure["UniqueProcessId"] = process, pid
        structure.set_if_there("HandleCount", words(4, len(handles)))
        structure["NextHandleNeedingPool"] = words(4, 0x1000 // entry_size * 4)
        return table

    def _entry(self, header):
        """What a table says of an object. Bit 0: not locked."""
        if self.build.handles == "packed":  # since 8.1: bits 4 to 47 of the address, from bit 20 on
            return (header >> 4 & (1 << 44) - 1) << 20 | 1
        return header | 1 if self.build.version >= (6, 0) else header & ~7 | 1
