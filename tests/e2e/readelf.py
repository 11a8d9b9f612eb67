"""What readelf says of a file."""

import subprocess


def exported_functions(path):
    """{(value, name)} of the functions that it exports."""
    text = subprocess.run(["readelf", "--dyn-syms", "--wide", path], check=True, text=True,
                          stdout=subprocess.PIPE, timeout=60).stdout
    found = set()
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 8 or fields[3] not in ("FUNC", "IFUNC") or fields[6] == "UND":
            continue
        if fields[4] in ("GLOBAL", "WEAK", "UNIQUE", "GNU_UNIQUE"):
            found.add((int(fields[1], 16), fields[7].split("@")[0]))
    return found
