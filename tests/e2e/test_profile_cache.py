"""What is kept of a kernel between runs of swatd: used for the same kernel at other addresses too,
not used where it is not right, and not there with --no-profile-cache."""

import os
import tempfile
from pathlib import Path

import case
import swatd
from guest import Guest

KEPT = "kept from an earlier run"


def doctor(guest, folder, *options):
    """(what it knows, what it warns of) with its cache in `folder`."""
    where = ["--gdb", guest.gdb_address, "--qmp", guest.qmp_address]
    done = swatd.once("doctor", *where, *options, env={**os.environ, "XDG_CACHE_HOME": folder})
    assert done.returncode == swatd.OK, done.stderr
    return done.stdout, done.stderr


class ProfileCache(case.GuestCase):
    def test_is_used_checked_and_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            profiles = Path(folder) / "swatd/profiles"
            self.assertNotIn(KEPT, doctor(self.guest, folder, "--no-profile-cache")[0])
            self.assertFalse(profiles.exists())
            self.assertNotIn(KEPT, doctor(self.guest, folder)[0])
            self.assertIn(KEPT, doctor(self.guest, folder)[0])
            with Guest() as other:  # KASLR puts it elsewhere
                self.assertNotEqual(self.text(other), self.text(self.guest))
                self.assertIn(KEPT, doctor(other, folder)[0])
            [file] = profiles.iterdir()
            file.write_text(file.read_text().replace("task_comm ", "task_comm 1"))
            said, warned = doctor(self.guest, folder)
            self.assertNotIn(KEPT, said)
            self.assertIn("is not used", warned)
            self.assertIn(KEPT, doctor(self.guest, folder)[0])  # it has been found anew, and kept

    @staticmethod
    def text(guest):
        return guest.check("grep -m 1 ' _text$' /proc/kallsyms")


if __name__ == "__main__":
    case.main()
