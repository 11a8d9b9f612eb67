"""What every row of matrix.py must pass, on Debian's kernels for x86_64; the rows of the other
architectures are in test_i386.py, test_arm.py and test_aarch64.py, and the old ones of x86 in
test_old_kernels.py. With SWAT_ALL set also those that take long."""

import case
import matrix

for row in matrix.debian_rows("amd64"):
    globals().update(matrix.class_of(row, matrix.RowChecks, case.GuestCase))

if __name__ == "__main__":
    case.main()
