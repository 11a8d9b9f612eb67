// kallsyms' compressed names: where they lie in an image, how many there are, and what they say.
//
// kallsyms_names is a sequence of {length, that many token numbers}; the length is one byte, or two
// as ULEB128 (since 6.1; never needed before, as 127 was the limit). The first character of an
// expanded name is its type as nm prints it. kallsyms_markers has the offset of every 256th entry,
// and kallsyms_num_syms stands before the names. [kernel/kallsyms.c, kallsyms_expand_symbol]
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "symbols/kallsyms_tokens.hpp"
#include "symbols/kernel_image.hpp"
#include "symbols/result.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::symbols {

struct KallsymsNames {
  std::size_t count_at;  // of kallsyms_num_syms; offsets into the image
  std::size_t count;
  std::size_t names;
  std::size_t markers;
  TokenTable tokens;
  std::size_t alignment;  // the largest of kLabelAlignments that every label has
};

// How many entries may be stepped over in one search; a real kernel needs its 200 000 once.
struct KallsymsBudget {
  std::size_t entries = 16u << 20;
};

// nullopt: nothing before this dictionary can be its names.
[[nodiscard]] std::optional<KallsymsNames> find_kallsyms_names(const KernelImage& image,
                                                               const TokenTable& tokens,
                                                               KallsymsBudget& budget);

// Names and types, addresses still null, in the order of the table.
[[nodiscard]] Result<std::vector<Symbol>> decode_kallsyms_names(const KernelImage& image,
                                                                const KallsymsNames& layout);

}  // namespace swat::symbols
