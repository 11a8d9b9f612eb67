"""A counted program and the C library that it needs, for guests too old for glibc (before 3.2).

The library is musl, which goes as far back as 2.6; both are laid over an initramfs of the guest's
by a second archive behind it, as the kernel takes several. [Documentation/driver-api/early-userspace]
"""

import functools
import gzip
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from guest import ROOT

COUNTED = "/counted-musl"


@dataclass(frozen=True)
class Target:
    """How a program is built: Debian's architecture, musl's name of it, the compiler."""

    debian: str
    musl: str
    loader: str
    gcc: tuple


# For ARM the compiler of armhf: of the armel one there is no need elsewhere.
TARGETS = {
    "i386": Target("i386", "i386-linux-musl", "ld-musl-i386.so.1", ("gcc", "-m32")),
    "x86_64": Target("amd64", "x86_64-linux-musl", "ld-musl-x86_64.so.1", ("gcc",)),
    "arm": Target("armel", "arm-linux-musleabi", "ld-musl-arm.so.1",
                  ("arm-linux-gnueabihf-gcc", "-march=armv5te", "-marm", "-mfloat-abi=soft")),
    "aarch64": Target("arm64", "aarch64-linux-musl", "ld-musl-aarch64.so.1",
                      ("aarch64-linux-gnu-gcc",)),
}


@functools.cache
def overlay(arch):
    """The archive that adds COUNTED and its library, gzipped."""
    target = TARGETS[arch]
    fetched = subprocess.run([ROOT / "scripts/fetch-musl", target.debian], check=True, text=True,
                             stdout=subprocess.PIPE, timeout=900).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        (tree / "lib").mkdir()
        library = Path(fetched) / "lib" / target.musl / "libc.so"
        (tree / "lib" / target.loader).write_bytes(library.read_bytes())
        (tree / "lib" / target.loader).chmod(0o755)
        build(target, Path(fetched), library, tree / COUNTED[1:])
        archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=tree,
                                 input=f"lib\nlib/{target.loader}\n{COUNTED[1:]}\n".encode(),
                                 check=True, stdout=subprocess.PIPE).stdout
    return gzip.compress(archive, 1)


def build(target, fetched, library, output):
    start = fetched / "usr/lib" / target.musl
    subprocess.run([*target.gcc, "-O1", "-fno-builtin", "-fno-pie", "-no-pie",
                    "-fno-stack-protector", "-nostdinc",
                    "-isystem", fetched / "usr/include" / target.musl, "-nostdlib", "-s",
                    "-Wl,--hash-style=both,-z,lazy", f"-Wl,-dynamic-linker,/lib/{target.loader}",
                    start / "crt1.o", start / "crti.o", ROOT / "tests/guests/counted.c",
                    # By this name its loader knows itself.
                    "-L", library.parent, "-l:libc.so",
                    start / "crtn.o", "-o", output], check=True)
