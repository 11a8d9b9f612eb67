"""Files for swatd's --profile: a PDB that clang, lld-link and llvm-pdbutil make, and a symbol table as
Volatility 3 has it, both of a layout of tests/guests/nt/layouts.json."""

import json
import re
import shutil
import subprocess
from pathlib import Path

STRUCTURES = ["_CLIENT_ID", "_KAPC_STATE", "_KPRCB", "_KTHREAD", "_KPCR", "_ETHREAD", "_EPROCESS"]
# Members that are structures themselves; all others are a byte.
NESTED = {("_KTHREAD", "ApcState"): "_KAPC_STATE", ("_ETHREAD", "Tcb"): "_KTHREAD",
          ("_ETHREAD", "Cid"): "_CLIENT_ID", ("_KPCR", "PrcbData"): "_KPRCB"}
NESTED_X64 = {("_KPCR", "Prcb"): "_KPRCB"}  # on x86 that is a pointer
TARGETS = {"x86": "i686-pc-windows-msvc", "x64": "x86_64-pc-windows-msvc"}
MACHINES = {"x86": 0x14c, "x64": 0x8664}


def nested(arch):
    return {**NESTED, **(NESTED_X64 if arch == "x64" else {})}


def fields(layout, structure):
    """[(offset, member)] ascending."""
    members = layout["structs"][structure]
    return sorted((at, name) for name, at in members.items() if name != "__size__")


def dashed(guid):
    return "-".join([guid[:8], guid[8:12], guid[12:16], guid[16:20], guid[20:]]).upper()


# --- PDB

def c_source(layout, arch):
    """The same structures in C, which the compiler holds to their offsets."""
    lines = ["#pragma pack(push, 1)"]
    inner = nested(arch)
    for structure in STRUCTURES:
        lines.append(f"struct {structure} {{")
        end = 0
        for at, name in fields(layout, structure):
            if at > end:
                lines.append(f"  char pad_{end}[{at - end}];")
            within = inner.get((structure, name))
            lines.append(f"  struct {within} {name};" if within else f"  char {name};")
            end = at + (layout["structs"][within]["__size__"] if within else 1)
        size = layout["structs"][structure]["__size__"]
        lines += [f"  char pad_{end}[{size - end}];" if size > end else "", "};"]
        lines += [f"_Static_assert(__builtin_offsetof(struct {structure}, {name}) == {at}, \"{name}\");"
                  for at, name in fields(layout, structure)]
        lines.append(f"struct {structure} a{structure};")
    return "\n".join([*lines, "#pragma pack(pop)"]) + "\n"


def compiler():
    return next(name for name in ("clang-16", "clang-19", "clang-14", "clang") if shutil.which(name))


def make_pdb(path, layout, arch, guid, age):
    """`path` with that id: lld-link's own is a hash, so llvm-pdbutil writes the file once more."""
    path = Path(path)
    linked, source = path.with_suffix(".linked"), path.with_suffix(".c")
    source.write_text(c_source(layout, arch))
    steps = [[compiler(), f"--target={TARGETS[arch]}", "-g", "-gcodeview", "-ffreestanding", "-c", source,
              "-o", path.with_suffix(".obj")],
             ["lld-link", "/nologo", "/dll", "/noentry", "/debug", path.with_suffix(".obj"),
              f"/pdb:{linked}", f"/out:{path.with_suffix('.dll')}"]]
    for step in steps:
        subprocess.run(step, check=True, timeout=120)
    text = subprocess.run(["llvm-pdbutil", "pdb2yaml", "-pdb-stream", "-dbi-stream", "-tpi-stream", linked],
                          check=True, timeout=120, stdout=subprocess.PIPE, text=True).stdout
    text = re.sub(r"Guid: .*", f"Guid: '{{{dashed(guid)}}}'", text, count=1)
    # The first age is that of the information stream, which no image has.
    ages = iter([age + 5, age])
    text = re.sub(r"Age: .*", lambda _: f"Age: {next(ages)}", text, count=2)
    described = path.with_suffix(".yaml")
    described.write_text(text)
    subprocess.run(["llvm-pdbutil", "yaml2pdb", f"-pdb={path}", described], check=True, timeout=120)
    return path


# --- ISF

def pointer(to):
    return {"kind": "pointer", "subtype": {"kind": "struct", "name": to}}


def isf(layout, arch, guid, age, pdb):
    """[volatility3, schemas/schema-6.2.0.json]"""
    types, inner = {}, nested(arch)
    for structure in STRUCTURES:
        members = {}
        for at, name in fields(layout, structure):
            within = inner.get((structure, name))
            members[name] = {"offset": at,
                             "type": {"kind": "struct", "name": within} if within else pointer(name)}
        types[structure] = {"kind": "struct", "size": layout["structs"][structure]["__size__"],
                            "fields": members}
    word = {"x86": 4, "x64": 8}[arch]
    return {"metadata": {"format": "6.2.0", "producer": {"name": "swatd's tests", "version": "1"},
                         "windows": {"pdb": {"GUID": guid.upper(), "age": age, "database": pdb,
                                             "machine_type": MACHINES[arch]}}},
            "base_types": {"pointer": {"size": word, "kind": "int", "signed": False, "endian": "little"}},
            "enums": {}, "symbols": {}, "user_types": types}


def make_isf(path, *described):
    path = Path(path)
    path.write_text(json.dumps(isf(*described)))
    return path
