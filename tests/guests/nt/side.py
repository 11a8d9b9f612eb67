"""What a process has of itself in its own memory: PEB, parameters, loaded modules, TEB. A 32-bit process
of a 64-bit system has it twice, a side for each."""

from dataclasses import dataclass, field

from builds import SHARED_USER_DATA, Build, Places, Structure
from kernel import link_ring, put_text
from memory import PAGE, PRESENT, USER, WRITABLE, AddressSpace, Heap, words

USER_RIGHTS = PRESENT | WRITABLE | USER
STACK_SIZE = HEAP_SIZE = 0x4000


@dataclass
class Module:
    name: str
    path: str
    base: int
    size: int
    entry: int


@dataclass
class Side:
    build: Build
    places: Places
    space: AddressSpace
    modules: list = field(default_factory=list)
    heap: Heap = None
    modules_at: int = 0  # where the heap has the loader's lists; nothing is behind them

    def structure(self, name, address):
        return Structure(self.space, self.build, name, address)

    def make_peb(self, version, number, service_pack):
        """PEB, and the heap for what it points to."""
        places, space = self.places, self.space
        space.allocate(places.peb, PAGE, USER_RIGHTS)
        self.heap = Heap(space, places.user_heap, HEAP_SIZE, USER_RIGHTS)
        peb = self.structure("PEB", places.peb)
        peb["OSMajorVersion"], peb["OSMinorVersion"] = (words(4, part) for part in version)
        peb["OSBuildNumber"] = words(2, number)
        peb["OSCSDVersion"] = words(2, service_pack)

    def fill_parameters(self, path, command_line):
        heap = self.heap
        parameters = self.structure(
            "RTL_USER_PROCESS_PARAMETERS",
            heap.allocate(self.build.layout.size("RTL_USER_PROCESS_PARAMETERS")))
        self.structure("PEB", self.places.peb)["ProcessParameters"] = parameters.address
        put_text(heap, self.build.pointer, parameters.at("ImagePathName"), path)
        put_text(heap, self.build.pointer, parameters.at("CommandLine"), command_line)
        self.modules_at = heap.next

    def fill_modules(self):
        """PEB_LDR_DATA and its three lists; the third one has not the EXE. May be done anew."""
        self.heap.next = self.modules_at
        peb = self.structure("PEB", self.places.peb)
        peb["ImageBaseAddress"] = self.modules[0].base
        ldr = self.structure("PEB_LDR_DATA",
                             self.heap.allocate(self.build.layout.size("PEB_LDR_DATA")))
        ldr["Initialized"] = bytes([1])
        peb["Ldr"] = ldr.address
        entries = [make_loader_entry(self.build, self.heap, module) for module in self.modules]
        orders = (("InLoadOrder", entries), ("InMemoryOrder", entries),
                  ("InInitializationOrder", entries[1:]))
        for order, members in orders:
            link_ring(self.space, self.build.pointer, ldr.at(f"{order}ModuleList"),
                      [entry.at(f"{order}Links") for entry in members])

    def make_teb(self, pid, tid):
        """TEB and stack of the process's first thread."""
        places, space = self.places, self.space
        space.allocate(places.teb, self.build.layout.size("TEB"), USER_RIGHTS)
        space.allocate(places.user_stack - STACK_SIZE, STACK_SIZE, USER_RIGHTS)
        teb = self.structure("TEB", places.teb)
        tib = self.structure("NT_TIB", places.teb)
        tib["Self"], tib["StackBase"] = places.teb, places.user_stack
        tib["StackLimit"] = places.user_stack - STACK_SIZE
        tib["ExceptionList"] = -1 if self.build.arch == "x86" else 0
        space.write(teb.at("ClientId"), words(self.build.pointer, pid, tid))
        teb["ProcessEnvironmentBlock"] = places.peb

    def load(self, library, folder):
        """Maps a DLL; the loader's lists are another matter."""
        library.map(self.space)
        entry = library.image.entry and library.base + library.image.entry
        return Module(library.name, folder + library.name, library.base, library.image.size, entry)

    def map_shared_data(self, physical):
        self.space.map(SHARED_USER_DATA, physical, PAGE, PRESENT | USER)


def make_loader_entry(build, heap, module):
    """An LDR_DATA_TABLE_ENTRY, of a process or of the kernel."""
    entry = Structure(heap.space, build, "LDR_DATA_TABLE_ENTRY",
                      heap.allocate(build.layout.size("LDR_DATA_TABLE_ENTRY")))
    entry["DllBase"], entry["EntryPoint"] = module.base, module.entry
    entry["SizeOfImage"] = words(4, module.size)
    put_text(heap, build.pointer, entry.at("FullDllName"), module.path)
    put_text(heap, build.pointer, entry.at("BaseDllName"), module.name)
    return entry
