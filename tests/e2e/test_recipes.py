"""scripts/recipes: a VM that is started as they say has all that swatd can use."""

import os
import shutil
import subprocess
import tempfile
import time
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path

import case
import swatd
from guest import ROOT, end_process, fetch
from machines import MACHINES

RECIPES = ROOT / "scripts/recipes"
QEMU = MACHINES["amd64"].program()
QEMU_XML = "{http://libvirt.org/schemas/domain/qemu/1.0}"
DOMAIN = """\
<domain type='qemu'>
  <name>vm</name>
  <memory unit='MiB'>256</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 swatd.run=workload</cmdline>
  </os>
  <devices><emulator>{qemu}</emulator><serial type='file'><source path='{console}'/></serial></devices>
</domain>
"""


def wait_for(condition, what, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what}")
        time.sleep(0.2)


def is_up(console):
    return console.exists() and "workload: round" in console.read_text(errors="replace")


class Recipe:
    def assert_all_is_used(self, doctor):
        self.assertIn("RAM: file\n", doctor)
        self.assertIn("device state (xen-save-devices-state)", doctor)
        self.assertNotRegex(doctor, "lacks: .*(monitor|RAM|right|folder)")
        print(doctor)


class PlainQemu(Recipe, unittest.TestCase):
    def test_gives_all(self):
        image = fetch()
        with tempfile.TemporaryDirectory(prefix="swatd-recipe-") as folder:
            console, told = Path(folder) / "console", Path(folder) / "stderr"
            with open(told, "w") as stderr:
                vm = subprocess.Popen(
                    [RECIPES / "plain-qemu", "vm", "256M", QEMU, "-accel", "tcg", "-display", "none",
                     "-nodefaults", "-no-reboot", "-serial", f"file:{console}",
                     "-kernel", image / "vmlinuz", "-initrd", image / "initrd.gz",
                     "-append", "console=ttyS0 quiet panic=-1 swatd.run=workload"],
                    stdin=subprocess.DEVNULL, stderr=stderr,
                    env={**os.environ, "XDG_RUNTIME_DIR": folder})
            try:
                wait_for(lambda: is_up(console), f"guest: {told.read_text()}")
                # What it says is how to attach.
                line = next(line for line in told.read_text().splitlines() if line.startswith("swatd "))
                options = line.split()[1:]
                self.assert_all_is_used(swatd.output_of("doctor", "--no-profile-cache", *options))
            finally:
                end_process(vm)

    def test_says_how_it_is_used(self):
        done = subprocess.run([RECIPES / "plain-qemu"], stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertTrue(done.stderr.startswith("Usage: plain-qemu NAME SIZE QEMU"), done.stderr)


def with_recipe(xml, folder):
    return subprocess.run([RECIPES / "libvirt", folder], input=xml, check=True, text=True,
                          stdout=subprocess.PIPE).stdout


class Libvirt(unittest.TestCase):
    XML = DOMAIN.format(kernel="/k", initrd="/i", qemu="/q", console="/c")

    def test_adds_what_libvirt_documents(self):
        domain = ET.fromstring(with_recipe(self.XML, "/run/vms"))
        # [libvirt.org/formatdomain.html, "Memory Backing"]
        self.assertEqual(domain.find("memoryBacking/source").get("type"), "memfd")
        self.assertEqual(domain.find("memoryBacking/access").get("mode"), "shared")
        # [libvirt.org/kbase/qemu-passthrough-security.html]
        arguments = domain.findall(f"{QEMU_XML}commandline/{QEMU_XML}arg")
        values = [argument.get("value") for argument in arguments]
        self.assertEqual(values, ["-gdb", "unix:/run/vms/vm.gdb,server=on,wait=off",
                                  "-qmp", "unix:/run/vms/vm.qmp,server=on,wait=off"])

    def test_keeps_the_rest(self):
        domain = ET.fromstring(with_recipe(self.XML, "/run/vms"))
        for added in "memoryBacking", f"{QEMU_XML}commandline":
            domain.remove(domain.find(added))
        self.assertEqual(ET.canonicalize(ET.tostring(domain), strip_text=True),
                         ET.canonicalize(self.XML, strip_text=True))

    def test_adds_nothing_twice(self):
        once = with_recipe(self.XML, "/run/vms")
        self.assertEqual(with_recipe(once, "/run/vms"), once)

    def test_a_ram_file_of_the_users_own_stays(self):
        own = self.XML.replace("<vcpu>", "<memoryBacking><source type='file'/></memoryBacking><vcpu>")
        domain = ET.fromstring(with_recipe(own, "/run/vms"))
        self.assertEqual(domain.find("memoryBacking/source").get("type"), "file")
        self.assertEqual(domain.find("memoryBacking/access").get("mode"), "shared")


class RealLibvirt(Recipe, unittest.TestCase):
    """A session of libvirt's own: libvirtd as a user without privileges, as virt-manager has it."""

    USER = "nobody"

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="swatd-lv-")))
        cls.environment = {**os.environ, "HOME": str(cls.folder), "LIBVIRT_AUTOSTART": "0"}
        for name in "RUNTIME_DIR", "CONFIG_HOME", "CACHE_HOME", "DATA_HOME":
            path = cls.folder / name.lower()
            path.mkdir(mode=0o700)
            cls.environment[f"XDG_{name}"] = str(path)
        subprocess.run(["chown", "-R", f"{cls.USER}:", cls.folder], check=True)
        image = fetch()
        for name in "vmlinuz", "initrd.gz":  # the cache is nobody else's
            shutil.copyfile(image / name, cls.folder / name)
        shutil.copy(swatd.SWATD, cls.folder / "swatd")
        xml = DOMAIN.format(kernel=cls.folder / "vmlinuz", initrd=cls.folder / "initrd.gz",
                            qemu=shutil.which(QEMU), console=cls.folder / "console")
        cls.xml = cls.folder / "vm.xml"
        cls.xml.write_text(with_recipe(xml, cls.folder))
        daemon = subprocess.Popen(cls.as_user("libvirtd"), env=cls.environment,
                                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(end_process, daemon)
        wait_for((cls.folder / "runtime_dir/libvirt/libvirt-sock").exists, "libvirtd", 30)

    @classmethod
    def as_user(cls, *words):
        return ["setpriv", f"--reuid={cls.USER}", "--regid=nogroup", "--clear-groups",
                *map(str, words)]

    @classmethod
    def virsh(cls, *words):
        return subprocess.run(cls.as_user("virsh", "-q", "-c", "qemu:///session", *words),
                              env=cls.environment, stdin=subprocess.DEVNULL, text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def test_libvirts_schema_takes_it(self):
        done = subprocess.run(["virt-xml-validate", self.xml, "domain"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_gives_all(self):
        for words in ["define", self.xml], ["start", "vm"]:
            done = self.virsh(*words)
            self.assertEqual(done.returncode, 0, done.stdout)
        try:
            wait_for(lambda: is_up(self.folder / "console"), "guest")
            # Without privileges, as the user that QEMU runs as.
            done = subprocess.run(
                self.as_user(self.folder / "swatd", "doctor", "--no-profile-cache",
                             "--gdb", f"unix:{self.folder}/vm.gdb",
                             "--qmp", f"unix:{self.folder}/vm.qmp"),
                env=self.environment, stdin=subprocess.DEVNULL, text=True, timeout=60,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, swatd.OK, done.stderr)
            self.assert_all_is_used(done.stdout)
            status = self.virsh("domstate", "vm").stdout
            self.assertEqual(status.strip(), "running")
        finally:
            self.virsh("destroy", "vm")
            self.virsh("undefine", "vm")


if not case.ALL:
    del RealLibvirt  # it takes libvirt, which scripts/install-deps all has

if __name__ == "__main__":
    case.main()
