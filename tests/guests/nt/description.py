"""The tables of kernel/hal.h as bytes, in its order. Every number has 64 bits."""

from dataclasses import dataclass

from memory import words

MODEL_REGISTERS, STACK_SLOTS = 8, 2
SERVICE_TABLES, SERVICES_OF_TABLE = 2, 2048
ABSENT, WAITING, READY = 0, 1, 2
THREAD_SIZE = 13 * 8


def padded(values, count):
    assert len(values) <= count
    return [*values, *[0] * (count - len(values))]


@dataclass
class Processor:
    gdt: tuple  # (address, limit)
    idt: tuple
    task_selector: int
    pcr_selector: int
    registers: list  # [(number, value)]
    own_pointer: int
    current_thread: int
    stack_slots: list
    tables_slot: int
    teb_descriptor: int
    idle_thread: int

    def pack(self):
        assert len(self.registers) < MODEL_REGISTERS
        registers = [value for register in self.registers for value in register]
        return words(8, *self.gdt, *self.idt, self.task_selector, self.pcr_selector,
                     *padded(registers, 2 * MODEL_REGISTERS), self.own_pointer, self.current_thread,
                     *padded(self.stack_slots, STACK_SLOTS), self.tables_slot,
                     self.teb_descriptor, self.idle_thread, 0, 0)


@dataclass
class Thread:
    state: int
    ethread: int
    pid: int
    page_tables: int
    teb: int
    teb32: int
    kernel_stack: int
    user_ip: int
    user_sp: int
    counters: tuple  # (address, count)
    services: int

    def pack(self):
        return words(8, self.state, self.ethread, self.pid, self.page_tables, self.teb, self.teb32,
                     self.kernel_stack, self.user_ip, self.user_sp, 0, *self.counters, self.services)


@dataclass
class Step:
    """Words that change when the test asks for the next step, and what is printed then."""

    pid: int
    service: int
    changes: list  # [(address, value, size)]
    text: int

    def pack(self, changes_at):
        return words(8, self.pid, self.service, changes_at, len(self.changes), self.text)

    def pack_changes(self):
        return words(8, *(part for change in self.changes for part in change))


@dataclass
class Description:
    processors: tuple  # (count, address)
    threads: tuple
    steps: tuple
    truth: int
    user_return: int
    kernel_tables: int
    boot_tables: int
    window: int
    local_apic: int
    user_code: int
    user_data: int
    tick: int

    def pack(self):
        return words(8, *self.processors, *self.threads, *self.steps, self.truth, self.user_return,
                     self.kernel_tables, self.boot_tables, self.window, self.local_apic,
                     self.user_code, self.user_data, 0, 0, self.tick)
