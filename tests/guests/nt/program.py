"""The program of a process: an EXE whose code makes the calls of story.py, in rounds.

Every call adds to a counter in the program's own data, which the kernel prints when a round is over:
what the program has really done.
"""

from dataclasses import dataclass

import assembler
import pe
from memory import PRESENT, USER, WRITABLE, words
from story import WAIT, Attributes, Room


@dataclass(frozen=True)
class Convention:
    """How the code of one architecture is written. {slot} is where the function's address is."""

    start: str
    loop: str
    call: str
    pushes: tuple  # per argument, the first one first; the last row for all that follow
    push_order: int  # -1: the last argument first
    count: str
    gate: str
    word: str
    unicode_string: str
    attributes: str


X86 = Convention(
    start="start: mov %esp, %ebp\nround:",
    loop="mov ${times}, %ebx",
    call="call *{slot}; mov %ebp, %esp",
    pushes=("push ${value}",), push_order=-1,
    count="incl counter{number}; dec %ebx; jnz 1b",
    # Windows 2000's stub.
    gate="call 2f; mov %ebp, %esp; jmp 3f;"
         "2: mov ${service}, %eax; lea 4(%esp), %edx; int $0x2e; ret; 3:",
    word=".long",
    unicode_string=".2byte {bytes}, {bytes}; .long {text}",
    attributes=".long 24, 0, {name}, 0x40, 0, 0")
X64 = Convention(
    start="start: and $-16, %rsp; sub $0x80, %rsp\nround:",
    loop="mov ${times}, %ebx",
    call="call *{slot}(%rip)",
    pushes=("movabs ${value}, %rcx", "movabs ${value}, %rdx", "movabs ${value}, %r8",
            "movabs ${value}, %r9", "movabs ${value}, %rax; mov %rax, {offset}(%rsp)"), push_order=1,
    count="incl counter{number}(%rip); dec %ebx; jnz 1b",
    gate="", word=".quad",
    unicode_string=".2byte {bytes}, {bytes}; .long 0; .quad {text}",
    attributes=".long 48, 0; .quad 0, {name}; .long 0x40, 0; .quad 0, 0")
CONVENTIONS = {"x86": X86, "x64": X64}


@dataclass
class Loaded:
    """The program where it is to be: its image, and what the loader has to put into it."""

    base: int
    image: bytes
    writer: pe.Writer
    entry: int
    slots: dict  # {address: (module, function)}
    counters: list  # [(address, call)]

    def map(self, space, libraries):
        """Puts it into a process, its imports bound."""
        space.allocate(self.base, len(self.image), PRESENT | WRITABLE | USER)
        space.write(self.base, self.image)
        for slot, function in self.slots.items():
            space.write(slot, words(self.writer.pointer, libraries.resolve(*function)))


class Source:
    """Collects the lines of one program."""

    def __init__(self, convention, services):
        self.convention, self.services = convention, services
        self.lines, self.data = [convention.start], []
        self.pointers = {}  # {label: (module, function)}

    def text(self, value):
        wide = value.startswith("L")
        kind, value = (".2byte", value[1:]) if wide else (".byte", value)
        label = f"text{len(self.data)}"
        self.data.append(f"{label}: {kind} {', '.join(str(ord(c)) for c in value)}, 0")
        return label

    def place(self, what):
        """The label of data that begins at a whole word."""
        label = f"data{len(self.data)}"
        self.data.append(f"  .balign 8\n{label}: {what}")
        return label

    def attributes(self, name):
        text = self.text("L" + name)
        string = self.place(self.convention.unicode_string.format(bytes=2 * len(name), text=text))
        return self.place(self.convention.attributes.format(name=string))

    def value(self, argument):
        if isinstance(argument, str):
            return self.text(argument)
        if isinstance(argument, Room):
            return self.place(f".zero {argument.size}")
        return self.attributes(argument.name) if isinstance(argument, Attributes) else argument

    def add(self, number, call, slot):
        how, module, function, arguments, times = call
        code = self.convention
        self.lines += [code.loop.format(times=times), "1:"]
        values = [self.value(argument) for argument in arguments]
        for i, value in list(enumerate(values))[::code.push_order]:
            push = code.pushes[min(i, len(code.pushes) - 1)]
            self.lines.append(push.format(value=value, offset=8 * i))
        if how == "gate":
            self.lines.append(code.gate.format(service=self.services[function]))
        elif how == "pointer":
            label = f"pointer{number}"
            self.pointers[label] = module, function
            self.lines.append(code.call.format(slot=label))
        else:
            self.lines.append(code.call.format(slot=slot))
        self.lines.append(code.count.format(number=number))
        self.data.append(f"  .globl counter{number}\ncounter{number}: .long 0")

    def assembly(self):
        pointers = [f"  .balign 8\n  .globl {label}\n{label}: {self.convention.word} 0"
                    for label in self.pointers]
        return "\n".join(["  .text", "  .globl start", *self.lines, "  jmp round", "  .data",
                          *pointers, *self.data, ""])


def build(arch, base, calls, services):
    """services: {function: number}, for calls by the gate."""
    wait = ("iat", "ntdll.dll", WAIT, (0, 0), 1)
    calls = [wait, *calls]
    writer = pe.Writer(arch, base)
    imports = {}
    for how, module, function, _, _ in calls:
        names = imports.setdefault(module, [])
        if how == "iat" and function not in names:
            names.append(function)
    slots = writer.add_imports({module: names for module, names in imports.items() if names})
    labels = {key: f"slot{i}" for i, key in enumerate(slots)}
    source = Source(CONVENTIONS[arch], services)
    for number, call in enumerate(calls):
        source.add(number, call, labels.get(call[1:3]))
    linked = assembler.build(arch, base + writer.end, ["program.S"], {},
                             {"program.S": source.assembly()},
                             {labels[key]: base + at for key, at in slots.items()})
    for name, part, flags in ((".text", "text", pe.CODE), (".data", "data", pe.DATA)):
        offset, data = linked.part(part)
        assert linked.base + offset == base + writer.end
        writer.add(name, data, flags)
    entry = linked.symbols["start"]
    image = bytearray(writer.size)
    image[:pe.PAGE] = writer.headers(entry - base, dll=False)
    for section in writer.sections:
        image[section.address:section.address + len(section.data)] = section.data
    to_fill = {base + at: key for key, at in slots.items()}
    to_fill |= {linked.symbols[label]: key for label, key in source.pointers.items()}
    counters = [(linked.symbols[f"counter{i}"], call) for i, call in enumerate(calls)]
    return Loaded(base, bytes(image), writer, entry, to_fill, counters)
