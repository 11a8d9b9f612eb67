"""Memory as input.hpp's InputRam takes it."""

import struct

WORD, MOST_IN_RUN = 8, 255


class InputRam:
    """Addresses count modulo 4 GiB."""

    def __init__(self):
        self.words = {}  # by number

    def add(self, at, data):
        for i, byte in enumerate(data, at & 0xffffffff):
            self.words.setdefault(i // WORD, bytearray(WORD))[i % WORD] = byte

    def pack(self):
        """Runs of words that are not zero."""
        runs = []
        for number, word in sorted(self.words.items()):
            if not any(word):
                continue
            if not runs or number != runs[-1][0] + len(runs[-1][1]) or len(runs[-1][1]) == MOST_IN_RUN:
                runs.append((number, []))
            runs[-1][1].append(bytes(word))
        return b"".join(struct.pack("<IB", number, len(run)) + b"".join(run) for number, run in runs)
