"""What is installed: by cmake --install, and as a Debian package."""

import subprocess
from pathlib import Path

from swatd import SWATD

BUILD = Path(SWATD).resolve().parents[1]
DOC = "usr/share/doc/swatd"

# Below the root, whichever way it is installed with the prefix /usr.
FILES = {
    "usr/bin/swatd",
    "usr/lib/systemd/system/swatd@.service",
    "usr/share/man/man1/swatd.1.gz",
    "usr/share/bash-completion/completions/swatd",
    "usr/share/fish/vendor_completions.d/swatd.fish",
    "usr/share/zsh/vendor-completions/_swatd",
    f"{DOC}/README.md", f"{DOC}/LICENSE", f"{DOC}/copyright",
    f"{DOC}/examples/vm.toml", f"{DOC}/examples/as-qemu.conf", f"{DOC}/examples/with-ptrace.conf",
    f"{DOC}/examples/plain-qemu", f"{DOC}/examples/libvirt",
}


def run(*command, timeout=300, **keywords):
    """What a command that must succeed prints."""
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, **keywords)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}")
    return done.stdout


def make_deb(folder):
    """Of the build that SWATD is of; its path."""
    run("cpack", "-G", "DEB", "-B", folder, "--config", BUILD / "CPackConfig.cmake", cwd=folder)
    deb, = Path(folder).glob("*.deb")
    return deb
