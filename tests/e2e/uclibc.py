"""counted.c for those old guests whose root file system has uClibc, and no room for musl.

What is linked against is a library of the same name with nothing in it: the guest has the real one.
"""

import functools
import subprocess
import tempfile
from pathlib import Path

from guest import ROOT

# Where a program starts, as no package of Debian has it: the kernel leaves argc, argv and the rest on
# the stack, from where the library takes them.
START = r"""
typedef int (*Main)(int argc, char **argv);
void __uClibc_main(Main main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                   void (*loader_fini)(void), void *stack_end);
int main(int argc, char **argv);

__attribute__((used)) static void start(long *stack) {
  __uClibc_main(main, (int)stack[0], (char **)(stack + 1), 0, 0, 0, stack);
}

__asm__(".globl _start\n_start:\n  xor %ebp, %ebp\n  mov %esp, %eax\n  and $-16, %esp\n"
        "  sub $12, %esp\n  push %eax\n  call start\n");
"""
# What that and counted.c call; atol is strtol in glibc's headers.
FUNCTIONS = ("__uClibc_main", "_exit", "fork", "malloc", "printf", "strlen", "strtol", "syscall",
             "waitpid")
GCC = ("i686-linux-gnu-gcc", "-O1", "-fno-builtin", "-fno-pie", "-no-pie", "-fno-stack-protector",
       "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-nostdlib", "-s",
       "-Wl,--hash-style=sysv,-z,lazy,-z,norelro,-z,noseparate-code,--build-id=none")


@functools.cache
def counted():
    with tempfile.TemporaryDirectory() as folder:
        stub, output = Path(folder) / "libc.so.0", Path(folder) / "counted"
        compiled("".join(f"void {name}(void) {{}}\n" for name in FUNCTIONS), stub,
                 "-shared", "-fPIC", "-w", "-Wl,-soname,libc.so.0")
        compiled(START, output, "-Wl,-dynamic-linker,/lib/ld-uClibc.so.0",
                 ROOT / "tests/guests/counted.c", stub)
        return output.read_bytes()


def compiled(source, output, *options):
    subprocess.run([*GCC, "-x", "c", "-", "-x", "none", *options, "-o", output],
                   input=source.encode(), check=True)
