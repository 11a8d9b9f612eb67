"""`swatd functions`, read from guest memory, against readelf on the same files outside the guest."""

import re
from pathlib import Path

import case
import swatd
from readelf import exported_functions

# What the kernel documents: vdso(7).
VDSO = {"__vdso_clock_gettime", "__vdso_getcpu", "__vdso_gettimeofday", "__vdso_time"}


class Functions(case.Unpacked, case.GuestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.busy = cls.guest.start_busy("calls")
        cls.dlopener = cls.guest.start_dlopener(3)

    def expected(self, pid):
        """{(address, module, name)} by readelf and /proc/PID/maps."""
        functions = set()
        for start, _, offset, _, path in self.guest.proc_truth()[pid]["maps"]:
            if offset == 0 and path.startswith("/") and (self.root / path[1:]).is_file():
                # The lowest address of each of these files is 0: where offset 0 is, is the base.
                functions |= {(start + value, Path(path).name, name)
                              for value, name in exported_functions(self.root / path[1:])}
        return functions

    def assert_equal_readelf(self, pid):
        expected = self.expected(pid)
        seen = {(address, module, name)
                for address, module, name, _ in swatd.functions(self.guest, pid)
                if module != "[vdso]"}
        self.assertGreater(len(expected), 2000)
        self.assertEqual(sorted(seen - expected)[:10], [], "not in the files")
        self.assertEqual(sorted(expected - seen)[:10], [], "missing")

    def test_a_program_and_its_libraries(self):
        self.assert_equal_readelf(self.busy)

    def test_busybox(self):
        self.assert_equal_readelf(1)

    def test_a_library_that_was_opened(self):
        self.assert_equal_readelf(self.dlopener)
        names = {name for _, module, name, _ in swatd.functions(self.guest, self.dlopener)
                 if module == "libswattest.so"}
        self.assertEqual(names, {"swat_test_length", "swat_test_add"})

    def test_the_vdso(self):
        names = {name for _, module, name, _ in swatd.functions(self.guest, self.busy)
                 if module == "[vdso]"}
        self.assertLessEqual(VDSO, names)

    def test_a_glob_selects(self):
        pattern = re.compile(r"libc\.so\.6!str.*len")
        every = {(module, name) for _, module, name, _ in swatd.functions(self.guest, self.busy)}
        seen = {(module, name) for _, module, name, _
                in swatd.functions(self.guest, self.busy, "libc.so.6!str*len")}
        self.assertEqual(seen, {(m, n) for m, n in every if pattern.fullmatch(f"{m}!{n}")})
        self.assertIn(("libc.so.6", "strlen"), seen)


if __name__ == "__main__":
    case.main()
