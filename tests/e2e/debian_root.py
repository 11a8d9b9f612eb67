"""A minimal Debian 12 in a folder, as debootstrap makes it, and commands that run in there. As root."""

import os
import shutil
import subprocess
from pathlib import Path

from guest import ROOT

SUITE = "bookworm"
EXTRA = ["man-db"]  # a minimal system reads no manuals


def _cache():
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "swatd/debootstrap"


def _mirror():
    script = f". {ROOT}/scripts/private-apt.sh; private_apt_mirror main"
    return subprocess.run(["bash", "-c", script], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


def base():
    """The system that all are copies of; made once."""
    made = _cache() / SUITE
    if not made.exists():
        new, debs = _cache() / f"{SUITE}.new", _cache() / "debs"
        shutil.rmtree(new, ignore_errors=True)
        debs.mkdir(parents=True, exist_ok=True)
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={','.join(EXTRA)}",
                        f"--cache-dir={debs}", SUITE, new, _mirror()],
                       check=True, stdin=subprocess.DEVNULL, timeout=1500)
        # No service may start in there. [invoke-rc.d(8)]
        (new / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (new / "usr/sbin/policy-rc.d").chmod(0o755)
        new.rename(made)
    return made


class DebianRoot:
    """with DebianRoot(parent) as root: root.run("apt-get", ...)"""

    def __init__(self, parent):
        self.path = Path(parent) / "root"

    def __enter__(self):
        subprocess.run(["cp", "-a", base(), self.path], check=True)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def run(self, *command, shared=None, timeout=600):
        """What a command in there prints, which must succeed. `shared`: a folder of this host's that
        is in there under the same name. All mounts end with the command."""
        root = self.path
        mounts = f"mount -t proc proc {root}/proc && "
        if shared:
            (root / str(shared).lstrip("/")).mkdir(parents=True, exist_ok=True)
            mounts += f"mount --bind {shared} {root}{shared} && "
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", mounts + f'exec chroot {root} "$@"', "sh",
             *map(str, command)],
            stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=timeout, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                                  "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"})
        if shared:
            (root / str(shared).lstrip("/")).rmdir()
        if done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}")
        return done.stdout

    def files(self):
        """{name: what it is}: kind and rights, and of settings what is in them."""
        found = {}
        for folder, names, files in os.walk(self.path):
            for name in names + files:
                path = Path(folder) / name
                status = path.lstat()
                text = ""
                inside = "/" + str(path.relative_to(self.path))
                if inside.startswith("/etc/") and path.is_file() and not path.is_symlink():
                    text = path.read_bytes().hex()
                found[inside] = (oct(status.st_mode), status.st_uid, status.st_gid, text)
        return found
