"""The package on a clean Debian 12: it is installed, runs there, and leaves nothing behind."""

import re
import tempfile

import case
import package
from debian_root import DebianRoot

# What apt and dpkg keep for themselves, whatever is installed: lists, logs, indices, back-ups. What is
# called after the package is looked for there, too.
BOOKKEEPING = re.compile(r"/var/(lib/(dpkg|apt)|cache/(apt|ldconfig|debconf|man)|log)/"
                         r"|/etc/ld\.so\.cache$|/var/cache/man$")
APT = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", "APT::Sandbox::User=root"]


class CleanDebian(case.GuestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="swatd-debian-"))
        cls.deb = package.make_deb(folder)
        cls.root = cls.enterClassContext(DebianRoot(folder))

    def test_installs_runs_and_goes(self):
        root, deb = self.root, f"/{self.deb.name}"
        root.run(*APT, "update")
        before = root.files()
        self.assertNotIn("/usr/bin/swatd", before)
        (root.path / self.deb.name).write_bytes(self.deb.read_bytes())
        root.run(*APT, "install", deb)
        (root.path / self.deb.name).unlink()

        self.assertIn("--gdb", root.run("swatd", "--help"))
        # Of pages of this width man keeps no copy. [man(1), MANWIDTH]
        manual = root.run("env", "MANWIDTH=90", "man", "-P", "cat", "swatd")
        self.assertIn("log what a whole guest does", manual)
        # The guest's sockets are all that it is given of this host.
        shared = self.guest.path
        doctor = root.run("swatd", "doctor", "--gdb", f"unix:{shared}/gdb",
                          "--qmp", f"unix:{shared}/qmp", shared=shared)
        self.assertIn("guest: linux", doctor.lower())
        print(doctor)

        # As an administrator and the service would leave it.
        for name in "/etc/swatd/vm.toml", "/var/log/swatd/vm/trace.log", "/var/cache/swatd/vm/profile":
            path = root.path / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        root.run("rm", "-rf", "/root/.cache/swatd")  # doctor's, of the user's own
        root.run(*APT, "purge", "--autoremove", "swatd")
        root.run("rm", "-rf", "/root/.cache")
        self.assert_nothing_left(before, root.files())

    def assert_nothing_left(self, before, after):
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        self.assertEqual({name for name in changed if not BOOKKEEPING.search(name)}, set())
        left = {name for name in after.keys() - before.keys() if "swatd" in name}
        self.assertEqual(left, set())


if __name__ == "__main__":
    case.main()
