"""What the kernel has of a process: EPROCESS and threads."""

from dataclasses import dataclass

from builds import Structure
from kernel import STACK_SIZE, link_ring, put_text
from memory import PAGE, AddressSpace, words
from side import Side
from story import HANDLES

NAME_LENGTH = 14  # of what EPROCESS.ImageFileName has of a longer name
IDLE_PID, SYSTEM_PID = 0, 4
CREATE_TIME = 0x01c8d5a0a8f2e000  # of pid 0, as FILETIME: 2008-06


@dataclass
class ThreadPlan:
    """A thread that hal.c is to run."""

    process: "Process"
    ethread: int
    kernel_stack: int
    program: object  # program.Loaded
    user_ip: int
    teb32: int = 0


@dataclass
class Process:
    pid: int
    parent: int
    image_name: str
    address: int  # of the EPROCESS
    space: AddressSpace
    side: Side = None  # None: it is the kernel's own
    side32: Side = None  # of a 32-bit process on a 64-bit system
    user_space: AddressSpace = None  # what user mode has (KVAS); None: the same
    command_line: str = ""
    calls: tuple = ()  # what its program does in a round

    @property
    def user_tables(self):
        return self.user_space.root if self.user_space else 0

    @property
    def peb(self):
        return self.side.places.peb if self.side else 0


class ProcessMaker:
    """Lays out processes of one guest; `guest` is compose.Guest."""

    def __init__(self, guest):
        self.guest, self.build, self.pool = guest, guest.build, guest.pool
        self.stacks = guest.build.places.stacks
        self.next_tid = 8

    def structure(self, name, address):
        return Structure(self.guest.kernel, self.build, name, address)

    def make_process(self, pid, parent, name, space):
        at = self.guest.objects.make("Process", self.build.layout.size("EPROCESS"))
        eprocess, kprocess = self.structure("EPROCESS", at), self.structure("KPROCESS", at)
        self.guest.kernel.write(at, bytes([3]))  # DISPATCHER_HEADER.Type
        kprocess["DirectoryTableBase"] = space.root
        eprocess["UniqueProcessId"], eprocess["InheritedFromUniqueProcessId"] = pid, parent
        eprocess["ImageFileName"] = name[:NAME_LENGTH].encode() + b"\0"
        eprocess["CreateTime"] = words(8, CREATE_TIME + pid)
        eprocess["ExitStatus"] = words(4, 0x103)  # STATUS_PENDING
        head = eprocess.at("ThreadListHead")
        link_ring(self.guest.kernel, self.build.pointer, head, [])
        return Process(pid, parent, name, at, space)

    def give_handles(self, process, handles):
        """handles: {handle: (type, name or None)}"""
        objects = {handle: self._make_object(*row) for handle, row in handles.items()}
        table = self.guest.objects.make_handle_table(process.address, process.pid, objects)
        self.structure("EPROCESS", process.address)["ObjectTable"] = table

    def _make_object(self, kind, name):
        if kind == "File":
            return self.guest.objects.make_file(name)
        return self.guest.objects.make(kind, 0x20, name)

    def give_file(self, process, path, base):
        eprocess = self.structure("EPROCESS", process.address)
        section, _, file = self.guest.vads.file(path)
        eprocess["SectionObject"], eprocess["SectionBaseAddress"] = section, base
        eprocess.set_if_there("ImageFilePointer", file)
        info = self.pool.allocate(0x10)
        put_text(self.pool, self.build.pointer, info, "\\Device\\HarddiskVolume1" + path[2:])
        eprocess["SeAuditProcessCreationInfo"] = info

    def make_thread(self, process, teb=0, stack=None):
        """The ETHREAD, with its kernel stack: (address, top of the stack)."""
        at = self.guest.objects.make("Thread", self.build.layout.size("ETHREAD"))
        ethread, kthread = self.structure("ETHREAD", at), self.structure("KTHREAD", at)
        self.guest.kernel.write(at, bytes([6]))  # DISPATCHER_HEADER.Type
        tid, self.next_tid = self.next_tid, self.next_tid + 4
        self.guest.kernel.write(ethread.at("Cid"), words(self.build.pointer, process.pid, tid))
        top = stack or self.make_stack()
        state = self.build.layout["KAPC_STATE.Process"]
        self.guest.kernel.write(kthread.at("ApcState") + state,
                                words(self.build.pointer, process.address))
        kthread.set_if_there("Process", process.address)
        ethread.set_if_there("ThreadsProcess", process.address)
        kthread["Teb"], kthread["InitialStack"], kthread["StackBase"] = teb, top, top
        kthread["StackLimit"], kthread["State"] = top - STACK_SIZE, bytes([5])
        kthread["PreviousMode"] = bytes([1 if teb else 0])
        kthread.set_if_there("ServiceTable", self.guest.service_table)
        eprocess = self.structure("EPROCESS", process.address)
        # One thread a process, or a few: the ring is made anew.
        threads = self.guest.threads_of.setdefault(process.pid, [])
        threads.append(ethread.at("ThreadListEntry"))
        link_ring(self.guest.kernel, self.build.pointer, eprocess.at("ThreadListHead"), threads)
        eprocess.set_if_there("ActiveThreads", words(4, len(threads)))
        return at, top

    def make_stack(self):
        self.stacks += PAGE  # a guard page
        self.guest.kernel.allocate(self.stacks, STACK_SIZE)
        self.stacks += STACK_SIZE
        return self.stacks

    def make_user_thread(self, process, program):
        """Its first thread, with what that has in user mode."""
        ethread, stack = self.make_thread(process, process.side.places.teb)
        for side in (process.side, process.side32):
            if side:
                side.make_teb(process.pid, self.next_tid - 4)
        for start in ("StartAddress", "Win32StartAddress"):
            self.structure("ETHREAD", ethread)[start] = program.entry
        return ThreadPlan(process, ethread, stack, program, program.entry)


def process_lines(process):
    yield (f"PROCESS pid={process.pid} ppid={process.parent} cr3={process.space.root:x}"
           f" user_cr3={process.user_tables:x} eprocess={process.address:x} peb={process.peb:x}"
           f" image={process.image_name[:NAME_LENGTH]} name={process.image_name}")
    if process.command_line:
        yield f"COMMAND pid={process.pid} line={process.command_line}"
    for handle, (kind, name) in HANDLES.get(process.pid, {}).items():
        yield f"HANDLE pid={process.pid} handle={handle:x} type={kind} name={name or ''}"


def module_lines(process):
    for word, side in (("MODULE", process.side), ("MODULE32", process.side32)):
        for m in side.modules if side else ():
            yield (f"{word} pid={process.pid} base={m.base:x} size={m.size:x} entry={m.entry:x}"
                   f" path={m.path}")
