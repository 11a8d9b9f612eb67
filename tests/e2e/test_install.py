"""What is installed is complete, and runs from where it is."""

import os
import re
import stat
import tempfile
import unittest
from pathlib import Path

import case
import package
import swatd
from package import run


class Installed(case.GuestCase):
    """cmake --install, as packagers call it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="swatd-root-")))
        run("cmake", "--install", package.BUILD, "--prefix", "/usr",
            env={**os.environ, "DESTDIR": str(cls.root)})

    def installed(self):
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}

    def test_each_file_is_where_it_is_looked_for(self):
        self.assertEqual(self.installed(), package.FILES)

    def test_swatd_runs(self):
        doctor = run(self.root / "usr/bin/swatd", "doctor", *swatd.connection(self.guest))
        self.assertIn("guest: linux", doctor.lower())

    def test_the_manual_is_readable(self):
        text = run("man", "-P", "cat", "-l", self.root / "usr/share/man/man1/swatd.1.gz")
        self.assertIn("swatd", text)

    def test_systemd_takes_the_unit(self):
        (self.root / "etc/swatd").mkdir(parents=True)
        unit = self.root / "usr/lib/systemd/system/swatd@.service"
        # It looks into this host's folders for the program: give it ours.
        text = unit.read_text().replace("ExecStart=swatd", f"ExecStart={self.root}/usr/bin/swatd")
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "swatd@vm.service"
            copy.write_text(text)
            said = run("systemd-analyze", "verify", "--man=no", copy)
            self.assertEqual([line for line in said.splitlines() if "swatd@" in line], [])
            # 10: no isolation at all. [systemd-analyze(1), "security"]
            run("systemd-analyze", "security", "--offline=yes", "--threshold=25", copy)

    def test_the_example_configuration_is_taken(self):
        example = self.root / package.DOC / "examples/vm.toml"
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "vm.toml"
            text = example.read_text()
            for name in "gdb", "qmp":
                text = text.replace(f"unix:/run/vm/NAME/{name}", f"unix:{self.guest.path}/{name}")
            config.write_text(text)
            run(self.root / "usr/bin/swatd", "--config", config, "--no-profile-cache",
                "--duration", "1", cwd=folder)
            self.assertEqual({"trace.log", "trace.json", "vm.toml"}, set(os.listdir(folder)))

    def test_everybody_may_read_it(self):
        for name in package.FILES:
            mode = (self.root / name).stat().st_mode
            executable = "/bin/" in name or name.endswith(("plain-qemu", "libvirt"))
            self.assertEqual(stat.S_IMODE(mode), 0o755 if executable else 0o644, name)


class Deb(unittest.TestCase):
    """The package as it is; that Debian takes it, test_debian.py shows."""

    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="swatd-deb-"))
        cls.deb = package.make_deb(cls.folder)

    def field(self, name):
        return run("dpkg-deb", "--field", self.deb, name).strip()

    def test_has_the_same_files_root_owns(self):
        lines = run("dpkg-deb", "--contents", self.deb).splitlines()
        files = {line.split()[-1].removeprefix("./") for line in lines if line[0] == "-"}
        self.assertEqual(files, package.FILES)
        self.assertEqual({line.split()[1] for line in lines}, {"root/root"})

    def test_says_what_it_is(self):
        version = run(swatd.SWATD, "--version").split()[1]
        self.assertEqual(self.field("Package"), "swatd")
        self.assertEqual(self.field("Version"), version)
        self.assertEqual(self.field("Architecture"), run("dpkg", "--print-architecture").strip())
        self.assertEqual(self.field("Section"), "utils")
        self.assertRegex(self.field("Maintainer"), r".+ <.+@.+>")
        self.assertNotEqual(self.field("Description"), "")

    def test_depends_on_each_library_that_it_is_linked_with(self):
        depends = self.field("Depends")
        needed = re.findall(r"NEEDED +(\S+)", run("objdump", "-p", swatd.SWATD))
        self.assertGreater(len(needed), 3)
        for library in needed:
            path = run("ldd", swatd.SWATD)
            found = re.search(rf"{re.escape(library)} => (\S+)", path)
            if found:  # the loader itself is libc6's
                real = os.path.realpath(found[1])
                owners = run("sh", "-c", f"dpkg -S {real} {found[1]} 2>/dev/null || true")
                packages = {line.split(":")[0] for line in owners.splitlines()}
                self.assertTrue(any(re.search(rf"\b{re.escape(name)}\b", depends) for name in packages),
                                f"{library} of {packages}: {depends}")

    def test_maintainer_scripts_are_in_good_form(self):
        with tempfile.TemporaryDirectory() as control:
            run("dpkg-deb", "--control", self.deb, control)
            for name in "postinst", "prerm", "postrm":
                script = Path(control) / name
                self.assertEqual(stat.S_IMODE(script.stat().st_mode), 0o755)
                run("sh", "-n", script)


if __name__ == "__main__":
    case.main()
