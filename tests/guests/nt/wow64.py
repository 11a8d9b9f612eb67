"""The 32-bit process of a 64-bit system: its second side, and the bridge between the two."""

from dataclasses import replace

import assembler
import program
from builds import WOW_BRIDGE, WOW_NATIVE_SIDE, WOW_SIDE, X86, Build, Structure
from libraries import Libraries
from memory import words
from side import USER_RIGHTS, Module, Side
from story import WINDOWS, WOW, WOW_FOLDER, WOW_NATIVE, repeated

LAYOUT_BUILD = "xp_sp3"  # of the 32-bit side: what is used of it is the same in all builds
PLACES = replace(X86, **WOW_SIDE)


class WowMaker:
    def __init__(self, guest):
        self.guest = guest
        self.libraries = Libraries("x86", PLACES, WOW.libraries, WOW_BRIDGE)

    def make(self):
        """The process, with a thread that is ready to run."""
        guest = self.guest
        process = guest.make_process(WOW, replace(guest.build.places, **WOW_NATIVE_SIDE))
        loaded = self._fill32(process)
        process.side.modules = [process.side32.modules[0], *(
            process.side.load(guest.libraries[name], WINDOWS) for name in WOW_NATIVE)]
        process.side.fill_modules()
        guest.maker.give_file(process, WOW.path, loaded.base)
        self._set_wow64_process(process)
        plan = guest.maker.make_user_thread(process, loaded)
        plan.user_ip, plan.teb32 = self._make_bridge(process, loaded), PLACES.teb
        return process, plan

    def _fill32(self, process):
        side = process.side32 = Side(Build(LAYOUT_BUILD), PLACES, process.space)
        process.calls = repeated(WOW.calls, self.guest.repeat)
        loaded = program.build("x86", PLACES.exe, process.calls, {})
        loaded.map(side.space, self.libraries)
        build = self.guest.build
        side.make_peb(build.version, build.number, build.service_pack)
        side.fill_parameters(WOW.path, WOW.command_line)
        exe = Module(WOW.name, WOW.path, loaded.base, len(loaded.image), loaded.entry)
        side.modules = [exe, *(side.load(self.libraries[name], WOW_FOLDER)
                               for name in WOW.libraries)]
        side.fill_modules()
        return loaded

    def _set_wow64_process(self, process):
        """The PEB32 itself, or since 10.0.10586 a structure that points to it."""
        guest, value = self.guest, PLACES.peb
        if "EWOW64PROCESS.Peb" in guest.build.layout:
            value = guest.pool.put(words(8, PLACES.peb, 0x14c))
        Structure(guest.kernel, guest.build, "EPROCESS", process.address)["Wow64Process"] = value

    def _make_bridge(self, process, loaded):
        """Where the thread starts."""
        native, rows = self.guest.libraries["ntdll.dll"], []
        for name, (number, _) in self.libraries["ntdll.dll"].services().items():
            target = native.image.exports.get(name)
            rows.append((number, native.base + target if target else 0))
        table = "".join(f".org table + {number} * 8\n.quad {target:#x}\n"
                        for number, target in sorted(rows))
        linked = assembler.build(
            "x64", WOW_BRIDGE, [assembler.FOLDER / "bridge.S"],
            {"STACK64": process.side.places.user_stack - 0x100, "ENTRY32": loaded.entry,
             "STACK32": PLACES.user_stack - 0x100}, {"table.inc": table})
        process.space.allocate(WOW_BRIDGE, len(linked.data), USER_RIGHTS)
        process.space.write(WOW_BRIDGE, linked.data)
        assert linked.symbols["bridge"] == WOW_BRIDGE
        return linked.symbols["start"]
