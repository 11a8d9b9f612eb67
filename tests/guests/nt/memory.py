"""The guest's RAM as it is when it starts, and page tables of all kinds."""

from dataclasses import dataclass

PAGE = 0x1000
PRESENT, WRITABLE, USER, ACCESSED, DIRTY = 1, 2, 4, 0x20, 0x40
PAGED = 0x5080  # of NT: not present, in the page file; the bits 10 and 11 tell it from others
TRANSITION = 0x800  # of NT: not present, but the page is still where the entry says


def page_of(address):
    return address & ~(PAGE - 1)


def pages(size):
    return (size + PAGE - 1) // PAGE


class Ram:
    """What the image file has: RAM from `base` on. Grows as it is given away."""

    def __init__(self, base):
        self.base = base
        self.data = bytearray()

    def allocate(self, size=PAGE):
        """Whole pages, zero; the physical address of the first."""
        address = self.base + len(self.data)
        self.data += bytes(pages(size) * PAGE)
        return address

    def write(self, physical, data):
        at = physical - self.base
        assert 0 <= at <= len(self.data) - len(data)
        self.data[at:at + len(data)] = data

    def read(self, physical, size):
        at = physical - self.base
        assert 0 <= at <= len(self.data) - size
        return bytes(self.data[at:at + size])


@dataclass(frozen=True)
class Paging:
    """How a processor is told where pages are. `levels`: the lowest bit of each level's index and how
    many there are, from the root down."""

    levels: tuple
    entry_size: int
    root_alignment: int
    root_rights: int  # what an entry of the root may have besides PRESENT
    control0: int
    control4: int
    features: int  # EFER

    @property
    def top(self):
        """Bits of a virtual address that the tables translate."""
        return sum(self.levels[0])


# CR0: PG, WP, NE, MP, PE. CR4: OSFXSR and OSXMMEXCPT, which code with SSE needs; PAE.
CONTROL0, CONTROL4, PAE = 0x80010023, 0x600, 0x20
RIGHTS = WRITABLE | USER | ACCESSED
PAGINGS = {
    "x86": Paging(((22, 10), (12, 10)), 4, PAGE, RIGHTS, CONTROL0, CONTROL4, 0),
    # The root is 32 bytes; XP has those of several processes in one page. NXE.
    "pae": Paging(((30, 2), (21, 9), (12, 9)), 8, 32, 0, CONTROL0, CONTROL4 | PAE, 0x800),
    # SCE, LME, NXE.
    "x64": Paging(((39, 9), (30, 9), (21, 9), (12, 9)), 8, PAGE, RIGHTS, CONTROL0, CONTROL4 | PAE,
                  0x901),
}


class AddressSpace:
    """One process's page tables, or the kernel's own. The tables are written by finish()."""

    def __init__(self, ram, paging, root, shared=()):
        self.ram, self.paging, self.root = ram, paging, root
        self.entries = {}  # {virtual page: page table entry}
        self.shared = shared  # [AddressSpace]: what other spaces map is mapped here, too
        self.entry_at = {}  # {virtual page: where its entry is in physical memory}

    def map(self, virtual, physical, size, rights=PRESENT | WRITABLE):
        if rights & PRESENT:
            rights |= ACCESSED | (DIRTY if rights & WRITABLE else 0)
        assert virtual % PAGE == physical % PAGE == 0
        for i in range(pages(size)):
            assert virtual + i * PAGE not in self.entries, f"{virtual:#x} is in use"
            self.entries[virtual + i * PAGE] = (physical + i * PAGE) | rights

    def allocate(self, virtual, size=PAGE, rights=PRESENT | WRITABLE):
        self.map(virtual, self.ram.allocate(size), size, rights)
        return virtual

    def physical(self, virtual):
        page = page_of(virtual)
        for space in (self, *self.shared):
            if page in space.entries:
                return page_of(space.entries[page]) | virtual % PAGE
        raise KeyError(f"{virtual:#x} is not mapped")

    def write(self, virtual, data):
        while data:
            size = min(len(data), PAGE - virtual % PAGE)
            self.ram.write(self.physical(virtual), data[:size])
            virtual, data = virtual + size, data[size:]

    def read(self, virtual, size):
        data = b""
        while len(data) < size:
            at = virtual + len(data)
            data += self.ram.read(self.physical(at), min(size - len(data), PAGE - at % PAGE))
        return data

    def finish(self):
        """Writes the tables. Those below the root that belong to shared spaces alone are shared."""
        for space in self.shared:
            self._share_root_entries(space)
        for virtual, entry in self.entries.items():
            self._write_entry(virtual, entry)

    def _share_root_entries(self, space):
        shift, _ = self.paging.levels[0]
        indices = {self._index(virtual, 0) for virtual in space.entries}
        own = {self._index(virtual, 0) for virtual in self.entries}
        assert not indices & own, f"level {shift} of a shared space is used by another one"
        for index in indices:
            self._put(self.root, index, space._get(space.root, index))

    def _index(self, virtual, level):
        shift, bits = self.paging.levels[level]
        return virtual >> shift & ((1 << bits) - 1)

    def _get(self, table, index):
        size = self.paging.entry_size
        return int.from_bytes(self.ram.read(table + index * size, size), "little")

    def _put(self, table, index, entry):
        size = self.paging.entry_size
        self.ram.write(table + index * size, entry.to_bytes(size, "little"))

    def _write_entry(self, virtual, entry):
        table, last = self.root, len(self.paging.levels) - 1
        for level in range(last):
            index = self._index(virtual, level)
            below = self._get(table, index)
            if not below:
                rights = RIGHTS if level else self.paging.root_rights
                below = self.ram.allocate() | rights | PRESENT
                self._put(table, index, below)
            table = page_of(below)
        index = self._index(virtual, last)
        self._put(table, index, entry)
        self.entry_at[virtual] = table + index * self.paging.entry_size


class Heap:
    """Small pieces of a region, one behind the other."""

    def __init__(self, space, start, size, rights=PRESENT | WRITABLE):
        self.space, self.next, self.end = space, start, start + size
        space.allocate(start, size, rights)

    def allocate(self, size, alignment=16):
        address = -(-self.next // alignment) * alignment
        self.next = address + size
        assert self.next <= self.end, "the heap is full"
        return address

    def put(self, data, alignment=16):
        address = self.allocate(len(data), alignment)
        self.space.write(address, data)
        return address


def words(size, *values):
    """Little-endian numbers of `size` bytes each."""
    mask = (1 << 8 * size) - 1
    return b"".join((value & mask).to_bytes(size, "little") for value in values)


def unpack_word(data, offset, size):
    return int.from_bytes(data[offset:offset + size], "little")
