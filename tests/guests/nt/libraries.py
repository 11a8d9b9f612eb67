"""The DLLs: genuine files of Wine, relocated, bound to each other, mapped into processes."""

import subprocess
from pathlib import Path

import pe
from memory import PRESENT, USER, WRITABLE, unpack_word, words

DEBIAN = {"x86": "i386", "x64": "amd64"}
CODE_WRITES = {".data", ".bss", ".idata"}  # sections that every process needs for itself
ROOT = Path(__file__).resolve().parents[3]


def fetch(arch):
    done = subprocess.run([ROOT / "scripts/fetch-wine", DEBIAN[arch]], check=True,
                          stdout=subprocess.PIPE, text=True, timeout=900)
    return Path(done.stdout.strip())


class Library:
    def __init__(self, path, base):
        self.image = pe.Image(path)
        self.name, self.base = path.name, base
        self.memory = self.image.relocated(base)
        self.shared = {}  # {address from the base: physical address} of what processes share

    def parts(self):
        """(address from the base, size, writable, every process's own)"""
        yield 0, len(self.image.headers), False, False
        for section in self.image.sections:
            # Long names are those of debugging information: nobody has touched it yet.
            if not section.name.startswith("/"):
                yield section.address, section.size, section.writable, section.name in CODE_WRITES

    def map(self, space):
        for at, size, writable, own in self.parts():
            physical = self.shared.get(at)
            if physical is None:
                physical = space.ram.allocate(size)
                space.ram.write(physical, self.memory[at:at + size])
                if not own:
                    self.shared[at] = physical
            space.map(self.base + at, physical, size, PRESENT | USER | (WRITABLE if writable else 0))

    def services(self):
        """{function: (number, bytes of arguments)} of its system call stubs."""
        found = {}
        for name, at in self.image.exports.items():
            stub = isinstance(at, int) and name.startswith("Nt") and decode_stub(self.memory, at)
            if stub:
                found[name] = stub
        return found


def decode_stub(memory, at):
    """(number, bytes of arguments; 0 on x64), or None. The forms that Wine 8 has."""
    if memory[at] == 0xb8 and memory[at + 5] == 0xba and memory[at + 10:at + 12] == b"\xff\xd2":
        return unpack_word(memory, at + 1, 4), unpack_word(memory, at + 13, 2)
    if memory[at:at + 4] == bytes.fromhex("4c8bd1b8"):
        return unpack_word(memory, at + 4, 4), 0
    return None


def dispatcher_slots(library):
    """Addresses from the base of the pointers that 32-bit stubs jump through: call edx, jmp [slot]."""
    slots = set()
    for name in library.services():
        at = library.image.exports[name]
        jump = unpack_word(library.memory, at + 6, 4) - library.base
        if library.memory[at] == 0xb8 and library.memory[jump:jump + 2] == b"\xff\x25":
            slots.add(unpack_word(library.memory, jump + 2, 4) - library.base)
    return slots


class Libraries:
    """All that a guest has, bound: {name: Library}. fast_call: where 32-bit stubs have to get to."""

    def __init__(self, arch, places, names, fast_call):
        folder = fetch(arch)
        self.all = {name: Library(folder / name, places.libraries[name]) for name in names}
        for library in self.all.values():
            self._bind(library)
            if arch == "x86":
                for slot in dispatcher_slots(library):
                    library.memory[slot:slot + 4] = words(4, fast_call)

    def __getitem__(self, name):
        return self.all[name]

    def resolve(self, module, function):
        """The function's address, through forwarders; 0 if nothing here has it."""
        library = self.all.get(module.lower())
        target = library.image.exports.get(function) if library else None
        if isinstance(target, str):
            module, function = target.rsplit(".", 1)
            return self.resolve(module + ".dll", function)
        return library.base + target if target else 0

    def _bind(self, library):
        size = library.image.pointer
        for module, function, slot in library.image.imports():
            library.memory[slot:slot + size] = words(size, self.resolve(module, function))

    def service_tables(self):
        """[(arguments, function name), by number] of ntdll's table and win32u's. Stubs of x64 do not
        tell how many arguments they have on the stack: as if they had none."""
        tables = ([], [])
        for library in self.all.values():
            for name, (number, arguments) in library.services().items():
                table = tables[number >> 12]
                index = number & 0xfff
                table.extend([(0, "")] * (index + 1 - len(table)))
                table[index] = arguments, name
        return tables
