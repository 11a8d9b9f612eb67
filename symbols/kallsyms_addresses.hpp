// The addresses that go with kallsyms' names. Four ways to store them, in two places:
//
//   absolute        kallsyms_addresses: a pointer each. Until 4.5, and where BASE_RELATIVE is off.
//   relative        kallsyms_offsets (32 bits, unsigned) and kallsyms_relative_base. Since 4.6.
//   relative/percpu the same with ABSOLUTE_PERCPU: an offset >= 0 is the address itself, another is
//                   relative_base - 1 - offset. x86_64 SMP, 4.6 to 6.14.
//   place-relative  kallsyms_offsets only: address = place of the offset + offset. Since 7.0.
//
// Until 6.3 they stand before kallsyms_num_syms, since 6.4 behind kallsyms_token_index.
// [kernel/kallsyms.c, kallsyms_sym_address; commits 2213e9a66bb8, 404bad70fcf7, a081b5789255]
#pragma once

#include <cstddef>
#include <vector>

#include "symbols/kallsyms_names.hpp"
#include "symbols/kernel_image.hpp"

namespace swat::symbols {

// Every reading of the bytes that is consistent in itself, the likeliest first: sorted, mostly
// inside the image, zero padding. The end of the array is not marked and padding is at most 252
// bytes, so a wrong alignment yields another consistent reading, shifted by some entries; only a
// comparison with something else in the image tells them apart.
[[nodiscard]] std::vector<std::vector<Va>> kallsyms_addresses(const KernelImage& image,
                                                              const KallsymsNames& names);

}  // namespace swat::symbols
