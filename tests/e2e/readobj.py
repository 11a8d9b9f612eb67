"""What llvm-readobj says of a PE file."""

import re
import subprocess


def readobj(path, *options):
    return subprocess.run(["llvm-readobj", *options, path], check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def exports(path):
    """{name: address from the base}; of forwarders the address of their text."""
    found = re.findall(r"Name: (\S+)\n\s+RVA: (0x[0-9A-F]+)", readobj(path, "--coff-exports"))
    return {name: int(address, 16) for name, address in found}


def code_exports(path):
    """{(name, address from the base)} of functions that are in the file itself: no forwarders, which
    lead into the export directory, and no data. Those without a name are called by their ordinal."""
    text = readobj(path, "--coff-exports", "--sections", "--file-headers")
    code = [(int(at, 16), int(at, 16) + int(size, 16)) for size, at in re.findall(
        r"VirtualSize: (\S+)\n\s+VirtualAddress: (\S+)(?:(?!VirtualSize).)*?MEM_EXECUTE", text, re.S)]
    directory = int(re.search(r"ExportTableRVA: (\S+)", text)[1], 16)
    end = directory + int(re.search(r"ExportTableSize: (\S+)", text)[1], 16)
    found = set()
    for ordinal, name, address in re.findall(r"Ordinal: (\d+)\n\s+Name: (.*)\n\s+RVA: (0x[0-9A-F]+)", text):
        at = int(address, 16)
        if any(start <= at < stop for start, stop in code) and not directory <= at < end:
            found.add((name or "#" + ordinal, at))
    return found


def imports(path):
    """{(module, name): address of the slot from the base}. Slots have a pointer's size."""
    text = readobj(path, "--coff-imports")
    pointer = 8 if "AddressSize: 64bit" in text else 4
    slots = {}
    for module, table, symbols in re.findall(
            r"Import \{\n\s+Name: (\S+)\n.*?ImportAddressTableRVA: (\S+)\n(.*?)\}", text, re.S):
        for i, name in enumerate(re.findall(r"Symbol: (\S+)", symbols)):
            slots[module, name] = int(table, 16) + i * pointer
    return slots


def relocated_section(path, name, base):
    """(address from the base, bytes) of a section, as a loader makes it for that base."""
    text = readobj(path, "--file-headers", "--sections", "--coff-basereloc")
    delta = base - int(re.search(r"ImageBase: (\S+)", text)[1], 16)
    row = re.search(rf"Name: {re.escape(name)} .*?VirtualSize: (\S+).*?VirtualAddress: (\S+)"
                    r".*?PointerToRawData: (\S+)", text, re.S)
    size, address, at = (int(value, 16) for value in row.groups())
    data = bytearray(path.read_bytes()[at:at + size])
    for kind, where in re.findall(r"Type: (HIGHLOW|DIR64)\n\s+Address: (0x[0-9A-F]+)", text):
        offset, width = int(where, 16) - address, {"HIGHLOW": 4, "DIR64": 8}[kind]
        if 0 <= offset < size:
            value = int.from_bytes(data[offset:offset + width], "little") + delta
            data[offset:offset + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    return address, bytes(data)
