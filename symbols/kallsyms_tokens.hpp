// kallsyms' compression dictionary: the one part of it that can be recognised anywhere.
//
// kallsyms_token_table is 256 NUL-terminated strings, kallsyms_token_index the 16-bit offset of
// each. A character that names use stands for itself, so the ten digits are ten strings of one
// character in a row. Since 2.6.10. [scripts/kallsyms.c, insert_real_symbols_in_table and
// write_src]
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "symbols/kernel_image.hpp"

namespace swat::symbols {

struct TokenTable {
  std::size_t begin;  // of kallsyms_token_table; all three are offsets into the image
  std::size_t index;  // of kallsyms_token_index
  std::size_t index_end;
  std::array<std::string_view, 256> tokens;  // refer into the image
};

// What labels may be aligned to. `.align 8` is 256 bytes on AArch64 and `.align 4` 16 on ARM until
// `.balign` came; 7.0 aligns to 4. [scripts/kallsyms.c, ALGN]
inline constexpr std::array<std::size_t, 4> kLabelAlignments = {256, 16, 8, 4};
inline constexpr std::size_t kMaxPadding = kLabelAlignments.front();

// The first dictionary whose digits stand at or behind `from`; `from` then moves behind them.
// At most `candidates` places are looked at, and counted down: a hostile image has millions.
[[nodiscard]] std::optional<TokenTable> find_token_table(const KernelImage& image,
                                                         std::size_t& from, int& candidates);

}  // namespace swat::symbols
