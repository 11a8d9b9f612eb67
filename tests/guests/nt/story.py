"""What is in the guest: its processes, what they have loaded, and what they call in every round.

A call is (how, module, function, arguments, times). How: "iat" through the program's import table,
"pointer" through a pointer as from GetProcAddress, "gate" by an int 2e of the program's own.
Text arguments are pointers to the text, with an L to wide text; see also Room and Attributes.
"""

from dataclasses import dataclass

LIBRARIES = ("ntdll.dll", "kernel32.dll", "kernelbase.dll", "win32u.dll")
WINDOWS, WOW_FOLDER = "C:\\WINDOWS\\system32\\", "C:\\WINDOWS\\SysWOW64\\"
WAIT, YIELD = "NtDelayExecution", "NtYieldExecution"  # services of which the kernel knows something


@dataclass(frozen=True)
class Room:
    """An argument: a pointer to so many bytes, which the kernel may write to."""

    size: int


@dataclass(frozen=True)
class Attributes:
    """An argument: a pointer to OBJECT_ATTRIBUTES with that name, OBJ_CASE_INSENSITIVE."""

    name: str


# What the kernel answers: NtCreateFile opens this handle of ALPHA's, and there is no such key.
OPENS, OPENED_HANDLE, NO_KEY = "NtCreateFile", 0x48, "NtOpenKey"


@dataclass(frozen=True)
class Program:
    """A process. Without calls it has no thread."""

    name: str
    pid: int
    parent: int
    libraries: tuple = ()
    calls: tuple = ()
    command_line: str = ""
    folder: str = WINDOWS

    @property
    def path(self):
        return self.folder + self.name


SMSS = Program("smss.exe", 332, 4, ("ntdll.dll",))
ALPHA = Program("alpha.exe", 500, 332, LIBRARIES, (
    ("iat", "ntdll.dll", "NtClose", (0x44,), 100),
    ("iat", "kernel32.dll", "GetCurrentProcessId", (), 60),
    ("pointer", "kernel32.dll", "MulDiv", (6, 7, 3), 50),
    ("iat", "ntdll.dll", YIELD, (), 10),
    ("iat", "kernel32.dll", "CloseHandle", (0x48,), 30),
    ("iat", "kernelbase.dll", "lstrlenA", ("a text",), 25),
    ("pointer", "ntdll.dll", "NtQueryInformationProcess", (-1, 0x21, 0x22, 0x23, 0x24), 15),
    ("iat", "win32u.dll", "NtUserGetForegroundWindow", (), 20),
    ("iat", "ntdll.dll", "NtCreateUserProcess", (0,) * 11, 1),
    ("iat", "ntdll.dll", OPENS, (Room(8), 0x120089, Attributes("\\??\\C:\\boot.ini"), Room(16), 0, 0x80,
                                 3, 1, 0x60, 0, 0), 7),
    ("iat", "ntdll.dll", NO_KEY, (Room(8), 0x20019, Attributes("\\Registry\\Machine\\Software")), 5),
), "alpha.exe -one \"a b\"")
BETA = Program("beta-a-long-name.exe", 616, 500, LIBRARIES, (
    ("pointer", "ntdll.dll", "NtClose", (0x50,), 70),
    ("iat", "ntdll.dll", YIELD, (), 25),
    ("iat", "ntdll.dll", "NtSetEvent", (0x54, 0), 40),
    ("iat", "kernel32.dll", "GetCurrentThreadId", (), 35),
    ("iat", "ntdll.dll", "RtlNtStatusToDosError", (0xc0000005,), 45),
    ("pointer", "kernelbase.dll", "lstrlenW", ("Lwide text",), 55),
    ("iat", "win32u.dll", "NtUserGetKeyState", (1,), 12),
))
# It is small: no kernel32, no win32k.
GAMMA = Program("gamma.exe", 704, 500, ("ntdll.dll",), (
    ("iat", "ntdll.dll", "NtSetEvent", (0x58, 0), 33),
    ("iat", "ntdll.dll", YIELD, (), 5),
    ("iat", "ntdll.dll", "wcslen", ("Lwide",), 21),
    ("iat", "ntdll.dll", "NtMapViewOfSection", tuple(range(0x31, 0x3b)), 1),
    ("iat", "ntdll.dll", "NtUnmapViewOfSection", (0, 0), 1),
))
# Not there at first: see steps.py.
LATE = Program("late.exe", 808, 500, ("ntdll.dll",), (
    ("iat", "ntdll.dll", "NtClose", (0x60,), 17),
    ("iat", "ntdll.dll", "NtTerminateProcess", (-1, 0), 1),
))
# A 32-bit process, where the system has 64 bits. Its libraries are the 32-bit ones; beside them it has a
# few of 64 bits, through which its system calls go.
WOW = Program("wow.exe", 912, 500, ("ntdll.dll", "kernelbase.dll", "kernel32.dll"), (
    ("iat", "ntdll.dll", "NtClose", (0x64,), 19),
    ("iat", "kernel32.dll", "GetCurrentProcessId", (), 23),
    ("pointer", "kernel32.dll", "CloseHandle", (0x68,), 11),
    ("pointer", "kernelbase.dll", "lstrlenA", ("a text",), 29),
), "wow.exe /32", WOW_FOLDER)
WOW_NATIVE = ("ntdll.dll", "wow64.dll", "wow64cpu.dll")
HELD_LIBRARY = "win32u.dll"  # which GAMMA gets later
# (process, library, sections), the headers being a section without a name: their first pages are not
# there at first. Of the first one the page is gone, of the others it is in transition.
PAGED_OUT = (BETA.pid, "win32u.dll", ("", ".edata"))
PROGRAMS = (SMSS, ALPHA, BETA, GAMMA, LATE)

# {pid: {handle: (type, name)}}
HANDLES = {
    ALPHA.pid: {0x44: ("Event", "AlphaEvent"), 0x48: ("File", "C:\\WINDOWS\\system32\\a file.txt"),
                0x4c: ("Event", None)},
    BETA.pid: {0x50: ("File", "C:\\boot.ini"), 0x54: ("Event", "BetaEvent")},
}

# On x86 there is a third way into the kernel.
GATE_CALLS = {"alpha.exe": (("gate", "ntdll.dll", "NtClose", (0x4c,), 27),)}


def repeated(calls, times):
    return tuple((*call[:-1], call[-1] * times) for call in calls)


def programs(arch, repeat=1):
    """(program, its calls), but for WOW."""
    for program in PROGRAMS:
        more = GATE_CALLS.get(program.name, ()) if arch == "x86" else ()
        yield program, repeated(program.calls + more, repeat)
