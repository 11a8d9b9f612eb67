"""What happens in the guest when a test lets it: processes come and go, libraries too, pages come back.

A step is Python code that changes the finished guest's RAM as the kernel would. Nothing of that code
runs in the guest: what it has changed is taken down, undone, and left to kernel/hal.c as a list of
words.
"""

from description import ABSENT, READY, Step
from memory import PAGE, page_of, unpack_word
from process import module_lines, process_lines
from story import ALPHA, GAMMA, LATE, PAGED_OUT


def create_process(guest):
    """It is on the list, but its loader has not run yet."""
    guest.processes.append(guest.later)
    guest.vads.fill(guest.later)
    guest.link_processes()
    return list(process_lines(guest.later))


def start_process(guest):
    guest.later.side.fill_modules()
    guest.set_thread_state(LATE.pid, READY)
    return list(module_lines(guest.later))


def load_library(guest):
    process = guest.process(GAMMA.pid)
    process.side.modules.append(guest.held_module)
    guest.change_entries(process, guest.held_entries)
    process.side.fill_modules()
    guest.vads.fill(process)
    return list(module_lines(process))[-1:]


def unload_library(guest):
    process = guest.process(GAMMA.pid)
    module = process.side.modules.pop()
    guest.change_entries(process, dict.fromkeys(guest.held_entries, 0))
    process.side.fill_modules()
    guest.vads.fill(process)
    return [f"UNLOADED pid={process.pid} base={module.base:x}"]


def end_process(guest):
    guest.processes.remove(guest.later)
    guest.link_processes()
    guest.set_thread_state(LATE.pid, ABSENT)
    return [f"ENDED pid={LATE.pid}"]


def page_in(guest):
    pid, _, _ = PAGED_OUT
    guest.change_entries(guest.process(pid), guest.paged_out)
    return [f"PAGED_IN pid={pid} address={page:x}" for page in guest.paged_out]


# (which process, at which system call of it; at once where there is none; what happens)
STEPS = (
    (ALPHA.pid, "NtCreateUserProcess", create_process),
    (0, None, start_process),
    (GAMMA.pid, "NtMapViewOfSection", load_library),
    (GAMMA.pid, "NtUnmapViewOfSection", unload_library),
    (LATE.pid, "NtTerminateProcess", end_process),
    (0, None, page_in),
)


class Recorder:
    """Takes down what steps change. RAM may grow meanwhile."""

    def __init__(self, guest):
        self.guest, self.ram = guest, guest.ram
        self.first = bytes(self.ram.data)
        window = guest.build.places.window
        self.kernel_pages = {page_of(entry): page for page, entry in guest.kernel.entries.items()
                             if page - window not in range(0, 1 << 32)}

    def changes_of(self, step):
        """([(address, value, size)], lines) of one."""
        before = bytes(self.ram.data)
        lines = step(self.guest)
        return list(self._changes(before.ljust(len(self.ram.data), b"\0"))), lines

    def undo(self):
        self.ram.data[:] = self.first.ljust(len(self.ram.data), b"\0")

    def _changes(self, before):
        after, size = self.ram.data, self.guest.build.pointer
        for page in range(0, len(after), PAGE):
            if before[page:page + PAGE] == after[page:page + PAGE]:
                continue
            for at in range(page, page + PAGE, size):
                if before[at:at + size] != after[at:at + size]:
                    yield self._address(self.ram.base + at), unpack_word(after, at, size), size

    def _address(self, physical):
        """Where the kernel would write, so that a watch on that address sees it."""
        page = page_of(physical)
        return self.kernel_pages.get(page, self.guest.build.places.window + page) + physical % PAGE


def tell(guest):
    """Records all steps: (how many, where they are in the guest)."""
    recorder = Recorder(guest)
    recorded = [recorder.changes_of(step) for _, _, step in STEPS]
    recorder.undo()
    numbers = [name for _, name in guest.services[0]]
    packed = b""
    for (pid, service, _), (changes, lines) in zip(STEPS, recorded):
        text = guest.put_text("".join(line + "\n" for line in lines))
        step = Step(pid, numbers.index(service) if service else 0, changes, text)
        packed += step.pack(guest.pool.put(step.pack_changes()))
    return len(STEPS), guest.pool.put(packed)
