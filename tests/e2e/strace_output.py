"""What `strace -f -o` has written, as data: an independent witness of every system call."""

import re

# "83 read(3, ..." begins a call, "83 <... read resumed>..." ends one that was cut in two.
BEGIN = re.compile(r"(\d+) +(\w+)\(")
RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>")
RESULT = re.compile(r".*\) += (.*)")


def number(text):
    if text.startswith("0x"):
        return int(text, 16)
    return int(text, 8) if re.fullmatch(r"0[0-7]+", text) else int(text)


def result(text):
    """A number, the name of an error (ERESTARTSYS too), or None where strace has only a "?"."""
    words = text.split()
    if words[0] == "?":
        return words[1] if len(words) > 1 and words[1].startswith("E") else None
    if words[0] == "-1" and len(words) > 1 and words[1].startswith("E"):
        return words[1]
    return number(words[0])


def calls(text):
    """{tid: [(name, result) of each call, in the order of entry]}."""
    sequences = {}
    for line in text.splitlines():
        begin, resumed, ended = BEGIN.match(line), RESUMED.match(line), RESULT.match(line)
        if begin:
            sequences.setdefault(int(begin[1]), []).append((begin[2], None))
        elif not resumed:
            continue
        if ended:
            tid = int((begin or resumed)[1])
            name, _ = sequences[tid][-1]
            sequences[tid][-1] = (name, result(ended[1]))
    return sequences
