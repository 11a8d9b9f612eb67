"""`swatd profile`, and the symbol table that it exports, against the guest's own /proc/kallsyms."""

import base64
import json
import re
import subprocess

import case
import nt_profile
from guest import ROOT
from swatd import SWATD, UNSUPPORTED, connection, once


class Profile(case.GuestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        exported = cls.guest.path / "guest.json"
        done = subprocess.run([SWATD, "profile", *connection(cls.guest), "--export", exported],
                              check=True, stdout=subprocess.PIPE, text=True, timeout=200)
        cls.printed = done.stdout
        cls.table = json.loads(exported.read_text())

    def test_symbols_are_the_kernels(self):
        names = ("_text", "init_task", "init_top_pgt", "init_files", "do_exit", "linux_banner")
        lines = self.guest.check(f"grep -E ' ({'|'.join(names)})$' /proc/kallsyms").splitlines()
        truth = {line.split()[2]: int(line.split()[0], 16) for line in lines}
        self.assertEqual(set(truth), set(names))
        symbols = self.table["symbols"]
        self.assertEqual({name: symbols[name]["address"] for name in names}, truth)

    def test_one_of_windows_is_refused(self):
        layouts = json.loads((ROOT / "tests/guests/nt/layouts.json").read_text())
        path = nt_profile.make_isf(self.guest.path / "windows.json", layouts["win10_19041_x64"], "x64",
                                   "0" * 32, 1, "ntkrnlmp.pdb")
        done = once("ps", *connection(self.guest), "--profile", path)
        self.assertEqual((done.returncode, done.stdout), (UNSUPPORTED, ""), done.stderr)
        self.assertIn("--profile, which is for Windows guests", done.stderr)

    def test_the_banner_is_in_the_kernels_memory(self):
        banner = base64.b64decode(self.table["symbols"]["linux_banner"]["constant_data"])
        release = self.guest.check("uname -r").strip()
        self.assertTrue(banner.startswith(f"Linux version {release} ".encode()), banner)
        self.assertTrue(banner.endswith(b"\n\0"), banner)

    def test_what_is_printed_is_what_is_exported(self):
        offsets = re.findall(r"^(\w+)\.([\w.]+) (\d+)$", self.printed, re.MULTILINE)
        self.assertGreater(len(offsets), 25)
        for structure, path, offset in offsets:
            with self.subTest(f"{structure}.{path}"):
                self.assertEqual(self.offset_of(structure, path.split(".")), int(offset))

    def offset_of(self, structure, path):
        fields = self.table["user_types"][structure]["fields"]
        for name, field in fields.items():
            if name == path[0]:
                rest = self.offset_of(field["type"]["name"], path[1:]) if path[1:] else 0
                return field["offset"] + rest
            if field.get("anonymous"):
                inner = self.offset_of(field["type"]["name"], path)
                if inner is not None:
                    return field["offset"] + inner
        return None

    def test_every_structure_that_is_held_by_value_is_there(self):
        types = self.table["user_types"]
        for name, structure in types.items():
            for member, field in structure["fields"].items():
                held = field["type"]
                while held["kind"] == "array":
                    held = held["subtype"]
                if held["kind"] in ("struct", "union"):
                    self.assertIn(held["name"], types, f"{name}.{member}")


if __name__ == "__main__":
    case.main()
