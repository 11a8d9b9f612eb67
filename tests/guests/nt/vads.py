"""The tree of a process's address ranges (VADs), of which an image's leads to its file.

Windows has had three: XP's, whose nodes are the ranges themselves; from Server 2003 to 7 a table with
a root node, whose right child is the tree; since 8.1 nodes of RTL_AVL_TREE. A range that belongs to no
file has a shorter structure; the tag of its pool tells which. That a file is mapped as an image, and not
as data, its control area tells.
"""

from builds import SHARED_USER_DATA, Structure
from memory import PAGE, pages, words
from side import HEAP_SIZE, STACK_SIZE

DATA_FILE = "C:\\WINDOWS\\system32\\locale.nls"  # which each process has behind its heap


class VadMaker:
    def __init__(self, guest):
        self.guest, self.build, self.pool = guest, guest.build, guest.pool
        self.files = {}  # {path: (section, control area, file object)}: one for all processes

    def file(self, path):
        if path not in self.files:
            self.files[path] = self.guest.objects.make_section(path, path != DATA_FILE)
        return self.files[path]

    def fill(self, process):
        """The whole tree, anew."""
        ranges = sorted(row for side in (process.side, process.side32) if side
                        for row in self._ranges(side))
        ranges.append((SHARED_USER_DATA, PAGE, None))
        root = self._tree(sorted(set(ranges), key=lambda row: row[0]), 0)
        at = process.address + self.build.layout["EPROCESS.VadRoot"]
        if "MM_AVL_TABLE.BalancedRoot" in self.build.layout and "MMVAD.RightChild" in self.build.layout:
            at += self.build.layout["MMVAD.RightChild"]
        self.guest.kernel.write(at, words(self.build.pointer, root))

    @staticmethod
    def _ranges(side):
        """(start, size, path of the file or None)"""
        places = side.places
        yield places.peb, PAGE, None
        yield places.user_heap, HEAP_SIZE, None
        if side.modules:
            yield places.teb, pages(side.build.layout.size("TEB")) * PAGE, None
            yield places.user_stack - STACK_SIZE, STACK_SIZE, None
            yield places.user_heap + 0x100000, 2 * PAGE, DATA_FILE
        for module in side.modules:
            yield module.base, module.size, module.path

    def _tree(self, ranges, parent):
        """The root of a balanced tree of these; 0 where there are none."""
        if not ranges:
            return 0
        middle = len(ranges) // 2
        start, size, path = ranges[middle]
        at = self._make(start, size, path)
        left, right = self._tree(ranges[:middle], at), self._tree(ranges[middle + 1:], at)
        if "RTL_BALANCED_NODE.Left" in self.build.layout and "MMVAD_SHORT.VadNode" in self.build.layout:
            node, names = Structure(self.pool.space, self.build, "RTL_BALANCED_NODE", at), \
                ("Left", "Right", "ParentValue")
        else:
            node, names = Structure(self.pool.space, self.build, "MMVAD_SHORT", at), \
                ("LeftChild", "RightChild", "Parent")
        for name, value in zip(names, (left, right, parent)):
            node.set_if_there(name, value)
        return at

    def _make(self, start, size, path):
        build, space = self.build, self.pool.space
        kind, tag = ("MMVAD", b"Vad ") if path else ("MMVAD_SHORT", b"VadS")
        header_size = build.layout.size("POOL_HEADER")
        header_at = self.pool.allocate(header_size + build.layout.size(kind))
        Structure(space, build, "POOL_HEADER", header_at)["PoolTag"] = tag
        at = header_at + header_size
        vad = Structure(space, build, "MMVAD_SHORT", at)
        for name, address in (("StartingVpn", start), ("EndingVpn", start + size - 1)):
            if f"{name}High" in vad:
                vad[name] = words(4, address // PAGE)
                vad[f"{name}High"] = bytes([address // PAGE >> 32])
            else:
                vad[name] = address // PAGE
        if path:
            self._give_file(Structure(space, build, "MMVAD", at), path)
        return at

    def _give_file(self, vad, path):
        _, area, _ = self.file(path)
        if "ControlArea" in vad:
            vad["ControlArea"] = area
            return
        subsection = self.pool.allocate(self.build.layout.size("SUBSECTION"))
        Structure(self.pool.space, self.build, "SUBSECTION", subsection)["ControlArea"] = area
        vad["Subsection"] = subsection
