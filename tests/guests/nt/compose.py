#!/usr/bin/env python3
"""Makes a bootable guest that looks like one build of Windows from outside, and says what is in it.

Usage: compose.py BUILD OUTDIR [--scramble-accessors] [--repeat N] [--number N]
  BUILD: a row of builds.json
  --scramble-accessors  ntoskrnl's exported functions do not show where structures have their fields
  --repeat N            every call is made N times as often
  --number N            it says that it is this build, whose offsets it has not
Writes OUTDIR/guest.img, for qemu-system-{i386,x86_64} -kernel, and OUTDIR/guest.json: addresses that
tests compare with what they find in the running guest's memory.

The image is the guest's whole RAM as Windows would have left it after its start. Everything in it is
laid out here; kernel/ is the little that has to run, and ntoskrnl/ is assembled into the image of the
kernel that is looked for. No file of Windows is needed: DLLs are Wine's (scripts/fetch-wine), offsets
of structures are layouts.json's. One file of this folder makes one part:

  builds.py      a build and its places         memory.py     RAM and page tables
  kernel.py      ntoskrnl, hal, processors      pe.py         PE images
  objects.py     objects and handles            assembler.py  code to bytes
  process.py     processes and threads          side.py       PEB, TEB, modules
  libraries.py   DLLs                           wow64.py      a 32-bit process on 64 bits
  vads.py        ranges of a process            story.py      which processes do what
  program.py     what runs in ring 3            steps.py      what changes later on
  description.py what kernel/hal.h expects

The guest talks on COM1. At first, and when it gets a 't', it prints what it consists of:
  SYSTEM build=.. nt=.. nt_size=..        hexadecimal, but for build, pid, ppid and times
  DRIVER base=.. size=.. name=..
  PROCESS pid=.. ppid=.. cr3=.. user_cr3=.. eprocess=.. peb=.. image=.. name=..
  COMMAND pid=.. line=..
  MODULE pid=.. base=.. size=.. entry=.. path=..     MODULE32: of the 32-bit side
  HANDLE pid=.. handle=.. type=.. name=..
  PAGED_OUT pid=.. address=..              a page that is not present, though it belongs to a module
An END is behind it, if it was asked for. On an 'r' all threads do one round of their calls; each prints,
when it is through,
  COUNT pid=.. times=.. HOW MODULE!FUNCTION        counted by its program
  SERVICE pid=.. number=.. times=..                counted by the kernel
and the last one END. The way of all threads to their first round is round 0. On an 's' it says
  STEP pid=..
and is ready for the next step of the story (steps.py), which is taken in a system call of that process,
in the next round; at once, with an END, where pid is 0. It prints what has changed: lines as above, and
  UNLOADED pid=.. base=..     ENDED pid=..     PAGED_IN pid=.. address=..
"""

import argparse
import json
from pathlib import Path

import kernel
import pe
import program
import steps
from builds import SHARED_USER_DATA, Build
from description import (ABSENT, READY, SERVICE_TABLES, SERVICES_OF_TABLE, THREAD_SIZE, Description,
                         Thread)
from libraries import Libraries
from memory import PAGE, PAGED, PRESENT, TRANSITION, AddressSpace, Heap, Ram, words
from objects import Objects
from process import IDLE_PID, SYSTEM_PID, ProcessMaker, module_lines, process_lines
from side import Module, Side, make_loader_entry
from story import (GAMMA, HANDLES, HELD_LIBRARY, LATE, LIBRARIES, PAGED_OUT, WINDOWS, WOW_NATIVE,
                   programs)
from vads import VadMaker
from wow64 import LAYOUT_BUILD, WowMaker

POOL_SIZE = 0x200000
RAM_SIZE = 32 << 20
TICK = 2000000  # of the APIC timer, whose clock QEMU has at 1 GHz
SELECTORS = {"x86": (0x1b, 0x23), "x64": (0x33, 0x2b)}  # user's code and data


class Guest:
    """All parts of one guest, in the order in which they need each other."""

    def __init__(self, build, scrambled=False, repeat=1):
        self.build, self.repeat = build, repeat
        self.ram = Ram(kernel.BOOT_PA)
        self.threads_of, self.plans, self.processes = {}, [], []
        self.roots = []  # free places of page table roots
        self._make_hal()
        self.kernel = AddressSpace(self.ram, build.paging, self._new_root())
        self.kernel_tables = self.kernel.root
        self.shadow = AddressSpace(self.ram, build.paging, self.ram.allocate())
        self._map_kernel()
        self.objects = Objects(build, self.pool)
        self.vads = VadMaker(self)
        native = WOW_NATIVE[1:] if build.arch == "x64" else ()
        self.libraries = Libraries(build.arch, build.places, LIBRARIES + native,
                                   SHARED_USER_DATA + kernel.FAST_CALL)
        self._make_system()
        self._make_ntoskrnl(scrambled)
        self._make_processors()
        self._make_programs()
        self.link_processes()
        self._link_drivers()
        self._finish()

    # Memory

    def _make_hal(self):
        self.hal = kernel.build_hal(self.build)
        at = self.ram.allocate(len(self.hal.data))
        assert at == kernel.BOOT_PA
        self.ram.write(at, self.hal.data)

    def _new_root(self):
        if not self.roots:
            page, step = self.ram.allocate(), self.build.paging.root_alignment
            self.roots = list(range(page, page + PAGE, step))
        return self.roots.pop(0)

    def _map_kernel(self):
        build, space = self.build, self.kernel
        space.allocate(build.places.hal)  # its header
        space.map(self.hal.base, kernel.BOOT_PA, len(self.hal.data))
        self.pool = Heap(space, build.places.pool, POOL_SIZE)
        space.map(build.places.local_apic, 0xfee00000, PAGE)
        space.map(build.places.window, 0, RAM_SIZE)
        self.shared_page = self.ram.allocate()
        kernel.fill_shared_data(build, space, self.shared_page)
        self.boot_stacks = build.places.stacks
        space.allocate(self.boot_stacks, kernel.BOOT_STACK * build.processors)

    # The kernel

    def _make_system(self):
        # Its address is part of ntoskrnl's data, and ntoskrnl's is part of its threads.
        self.service_table = 0
        self.maker = ProcessMaker(self)
        self.maker.stacks += kernel.BOOT_STACK * self.build.processors
        self.idle = self.maker.make_process(IDLE_PID, 0, "Idle", self.kernel)
        self.system = self.maker.make_process(SYSTEM_PID, 0, "System", self.kernel)

    def _make_ntoskrnl(self, scrambled):
        self.services = self.libraries.service_tables()
        symbols = {f"TYPE_{name}": at for name, at in self.objects.types.items()}
        symbols["SYSTEM_PROCESS"] = self.system.address
        self.nt = kernel.build_ntoskrnl(self.build, self.hal, self.services, symbols, scrambled)
        self.nt_image = kernel.nt_image(self.build, self.nt)
        kernel.map_image(self.kernel, self.nt_image, self.build.places.nt)
        kernel.fill_debugger_data(self.build, self.kernel, self.nt.symbols)
        self.service_table = self.nt.symbols["KeServiceDescriptorTableShadow"]
        hal_image = pe.Writer(self.build.arch, self.build.places.hal)
        hal_image.add(".text", self.hal.data, pe.CODE)
        self.kernel.write(self.build.places.hal, hal_image.headers())
        self.drivers = [
            Module("ntoskrnl.exe", "\\WINDOWS\\system32\\ntoskrnl.exe", self.build.places.nt,
                   self.nt_image.size, 0),
            Module("hal.dll", "\\WINDOWS\\system32\\hal.dll", self.build.places.hal,
                   hal_image.size, 0)]

    def _make_processors(self):
        self.processors, shadow_pages = [], []
        for number in range(self.build.processors):
            thread, _ = self.maker.make_thread(self.idle)
            maker = kernel.ProcessorMaker(self, number, thread)
            self.processors.append(maker.make())
            if self.build.shadowed:
                shadow_pages += maker.shadow_pages()
        self.maker.make_thread(self.system)
        if self.build.shadowed:
            offset, code = self.nt.part("shadow")
            shadow_pages.append((self.nt.base + offset, len(code)))
            for at, size in shadow_pages:
                for page in range(at & -PAGE, at + size, PAGE):
                    self.shadow.map(page, self.kernel.physical(page), PAGE)

    # Processes

    def _make_programs(self):
        self.processes = [self.system]
        self.maker.give_handles(self.system, {})
        for row, calls in programs(self.build.arch, self.repeat):
            process = self.make_process(row, self.build.places)
            self._fill_program(process, row, calls)
            self.processes.append(process)
        self.later = self.processes.pop()
        if self.build.arch == "x64":
            process, plan = WowMaker(self).make()
            self.processes.append(process)
            self.plans.append(plan)
        for process in self.processes[1:]:
            self.vads.fill(process)
        self._hold_library()
        self._page_out()

    def make_process(self, row, places):
        """What every process has: no modules, no threads."""
        space = AddressSpace(self.ram, self.build.paging, self._new_root(), [self.kernel])
        process = self.maker.make_process(row.pid, row.parent, row.name, space)
        process.command_line = row.command_line or row.name
        self.maker.give_handles(process, HANDLES.get(row.pid, {}))
        if self.build.shadowed:
            process.user_space = AddressSpace(self.ram, self.build.paging, self._new_root(),
                                              [space, self.shadow])
            self.maker.structure("KPROCESS", process.address)["UserDirectoryTableBase"] = \
                process.user_tables
        process.side = Side(self.build, places, space)
        process.side.map_shared_data(self.shared_page)
        process.side.make_peb(self.build.version, self.build.number, self.build.service_pack)
        process.side.fill_parameters(row.path, process.command_line)
        self.maker.structure("EPROCESS", process.address)["Peb"] = process.peb
        return process

    def _fill_program(self, process, row, calls):
        side = process.side
        numbers = {name: index for index, (_, name) in enumerate(self.services[0])}
        process.calls = calls
        loaded = program.build(self.build.arch, side.places.exe, calls, numbers)
        loaded.map(side.space, self.libraries)
        self.maker.give_file(process, row.path, loaded.base)
        exe = Module(row.name, row.path, loaded.base, len(loaded.image), loaded.entry)
        side.modules = [exe, *(side.load(self.libraries[name], WINDOWS) for name in row.libraries)]
        if row is not LATE:
            side.fill_modules()
        if calls:
            self.plans.append(self.maker.make_user_thread(process, loaded))

    # What steps.py needs

    def process(self, pid):
        return next(process for process in self.processes if process.pid == pid)

    def _hold_library(self):
        """All is ready, but the pages are not there yet."""
        process = self.process(GAMMA.pid)
        before = dict(process.space.entries)
        self.held_module = process.side.load(self.libraries[HELD_LIBRARY], WINDOWS)
        self.held_entries = {page: entry for page, entry in process.space.entries.items()
                             if page not in before}
        process.space.entries = before

    def _page_out(self):
        pid, name, sections = PAGED_OUT
        library, entries = self.libraries[name], self.process(pid).space.entries
        starts = {section.name: section.address for section in library.image.sections} | {"": 0}
        pages = [library.base + starts[section] for section in sections]
        self.paged_out = {page: entries[page] for page in pages}
        for i, page in enumerate(pages):
            entries[page] = (entries[page] & ~PRESENT | TRANSITION) if i else PAGED

    def change_entries(self, process, entries):
        process.space.entries |= entries
        process.space.finish()
        if process.user_tables:
            process.user_space.finish()

    def set_thread_state(self, pid, state):
        index = [plan.process.pid for plan in self.plans].index(pid)
        self.kernel.write(self.threads_at + index * THREAD_SIZE, words(8, state))

    # The end

    def link_processes(self):
        link = self.build.layout["EPROCESS.ActiveProcessLinks"]
        kernel.link_ring(self.kernel, self.build.pointer, self.nt.symbols["PsActiveProcessHead"],
                         [process.address + link for process in self.processes])

    def _link_drivers(self):
        entries = [make_loader_entry(self.build, self.pool, module) for module in self.drivers]
        kernel.link_ring(self.kernel, self.build.pointer, self.nt.symbols["PsLoadedModuleList"],
                         [entry.at("InLoadOrderLinks") for entry in entries])

    def put_text(self, text):
        return self.pool.put(text.encode() + b"\0", 1)

    def _put_thread(self, plan):
        counters = b"".join(
            words(8, at, self.put_text(f"{how} {module}!{function}"))
            for at, (how, module, function, _, _) in plan.program.counters)
        return Thread(
            state=ABSENT if plan.process is self.later else READY, ethread=plan.ethread,
            pid=plan.process.pid, page_tables=plan.process.space.root, teb=plan.process.side.places.teb,
            teb32=plan.teb32, kernel_stack=plan.kernel_stack, user_ip=plan.user_ip,
            user_sp=plan.process.side.places.user_stack - 0x100,
            counters=(self.pool.put(counters), len(plan.program.counters)),
            services=self.pool.allocate(4 * SERVICE_TABLES * SERVICES_OF_TABLE)).pack()

    def _finish_tables(self):
        self.kernel.finish()
        self.shadow.finish()
        for process in [*self.processes, self.later]:
            if process is not self.system:
                process.space.finish()
            if process.user_tables:
                process.user_space.finish()
        self.boot_space.finish()

    def _finish(self):
        self.threads_at = self.pool.put(b"".join(self._put_thread(plan) for plan in self.plans))
        processors = self.pool.put(b"".join(processor.pack() for processor in self.processors))
        text = self.put_text("\n".join(self.truth()) + "\n")
        self.boot_space = AddressSpace(self.ram, self.build.paging, self._new_root(), [self.kernel])
        self.boot_space.map(kernel.BOOT_PA, kernel.BOOT_PA, len(self.hal.data))
        self._finish_tables()
        code, data = SELECTORS[self.build.arch]
        description = Description(
            processors=(len(self.processors), processors),
            threads=(len(self.plans), self.threads_at), steps=steps.tell(self),
            truth=text, user_return=self.nt.symbols["KiUserReturn"],
            kernel_tables=self.kernel_tables, boot_tables=self.boot_space.root,
            window=self.build.places.window, local_apic=self.build.places.local_apic,
            user_code=code, user_data=data, tick=TICK)
        paging = self.build.paging
        parameters = words(8, self.pool.put(description.pack()), self.boot_space.root,
                           paging.control0, paging.control4, paging.features,
                           self.boot_stacks + kernel.BOOT_STACK)
        self.ram.write(kernel.BOOT_PA + self.hal.symbols["description_address"] - self.hal.base,
                       parameters)
        assert self.ram.base + len(self.ram.data) < RAM_SIZE

    # The lines that the guest prints of itself: see above.

    def truth(self):
        yield (f"SYSTEM build={self.build.number} nt={self.build.places.nt:x}"
               f" nt_size={self.nt_image.size:x}")
        for driver in self.drivers:
            yield f"DRIVER base={driver.base:x} size={driver.size:x} name={driver.name}"
        for process in self.processes:
            yield from process_lines(process)
            yield from module_lines(process)
        pid, _, _ = PAGED_OUT
        yield from (f"PAGED_OUT pid={pid} address={page:x}" for page in self.paged_out)


def facts(guest):
    """For tests: what they cannot know otherwise."""
    symbols = {name: at for name, at in guest.nt.symbols.items()
               if not name.startswith(("TYPE_", "SERVICE"))}
    return {
        "build": guest.build.number, "arch": guest.build.arch, "symbols": symbols,
        "kpcrs": list(guest.build.places.kpcrs), "offsets": guest.build.layout.offsets,
        "services": [[name for _, name in table] for table in guest.services],
        "calls": {process.pid: process.calls for process in [*guest.processes, guest.later]},
        "offsets32": Build(LAYOUT_BUILD).layout.offsets,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("out", type=Path)
    parser.add_argument("--scramble-accessors", action="store_true")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--number", type=int)
    options = parser.parse_args()
    build = Build(options.build)
    build.number = options.number or build.number
    guest = Guest(build, options.scramble_accessors, options.repeat)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "guest.img").write_bytes(guest.ram.data)
    (options.out / "guest.json").write_text(json.dumps(facts(guest), default=repr))


if __name__ == "__main__":
    main()
