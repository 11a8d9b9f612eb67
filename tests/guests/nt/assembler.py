"""Compiles and links for the guest, whatever the host is, to bytes that are to lie at one address."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Tools:
    compiler: str
    flags: tuple


TOOLS = {
    "x86": Tools("i686-linux-gnu-gcc", ("-fno-pie",)),
    "x64": Tools("gcc", ("-fpie", "-mno-red-zone")),
}
FLAGS = ("-O2", "-ffreestanding", "-fno-stack-protector", "-mgeneral-regs-only",
         "-fno-asynchronous-unwind-tables", "-Wall", "-Wextra", "-Werror", "-Wa,--noexecstack",
         "-nostdlib", "-static", "-no-pie", "-Wl,--no-warn-rwx-segments,--build-id=none")
SCRIPT = """
SECTIONS
{
  . = BASE;
  .text : { text_start = .; *(.boot) *(.text .text.*) *(.rodata*) text_end = .; }
  . = ALIGN(ALIGNMENT);
  KVASCODE : { shadow_start = .; *(KVASCODE) shadow_end = .; }
  . = ALIGN(ALIGNMENT);
  .data : { data_start = .; *(.data .data.*) *(.bss) *(COMMON) data_end = .; }
  /DISCARD/ : { *(.eh_frame*) *(.note*) *(.comment) }
}
"""


@dataclass
class Linked:
    """Bytes from `base` on, and where the symbols are."""

    base: int
    data: bytes
    symbols: dict

    def part(self, name):
        """(offset, bytes) of one of the script's sections: text, shadow, data."""
        start, end = (self.symbols[f"{name}_{which}"] - self.base for which in ("start", "end"))
        return start, self.data[start:end]


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(arch, base, sources, defines, texts=(), symbols=(), alignment=0x1000):
    """sources: paths; defines: {macro: number or text}; texts: {file name: its content}, which
    sources may include; symbols: {name: address} of what is elsewhere."""
    tools = TOOLS[arch]
    with tempfile.TemporaryDirectory(prefix="swatd-nt-") as name:
        folder = Path(name)
        for file, text in dict(texts).items():
            (folder / file).write_text(text)
        macros = "".join(f"#define {key} {_literal(value)}\n" for key, value in defines.items())
        (folder / "defines.h").write_text(macros)
        (folder / "script").write_text(SCRIPT)
        options = [f"BASE={base:#x}", f"ALIGNMENT={alignment:#x}",
                   *(f"{name}={address:#x}" for name, address in dict(symbols).items())]
        run(tools.compiler, *FLAGS, *tools.flags, "-I", folder, "-include", folder / "defines.h",
            *(folder / source for source in sources), "-T", folder / "script",
            *(f"-Wl,--defsym={option}" for option in options), "-o", folder / "linked")
        run("objcopy", "-O", "binary", folder / "linked", folder / "flat")
        return Linked(base, (folder / "flat").read_bytes(), _symbols(folder / "linked"))


def _literal(value):
    return f"{value:#x}" if isinstance(value, int) else value


def _symbols(path):
    lines = (line.split() for line in run("nm", path).splitlines())
    return {fields[-1]: int(fields[0], 16) for fields in lines if len(fields) == 3}
