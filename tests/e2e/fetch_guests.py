"""Puts together the guests that the tests boot, so that they need not wait for each other's.

scripts/test runs it beside the build: it mostly downloads and unpacks.
"""

import matrix
from guest import fetch

if __name__ == "__main__":
    for row in matrix.debian_rows(*matrix.PROGRAMS):
        fetch(row.series, row.arch)
