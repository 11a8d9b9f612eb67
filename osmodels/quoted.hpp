// Text and bytes of a guest as tracers print them: in quotes, with C's escapes, cut short.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace swat::os {

inline constexpr std::size_t kUsualQuote = 32;  // strace's -s

// As strace: what is neither printable ASCII nor has an escape of its own is octal, `"ab\0"...`
// when there are more than `most` bytes.
[[nodiscard]] std::string quoted(std::span<const std::byte> bytes, std::size_t most = kUsualQuote);
// UTF-8 stays as it is; of controls the same holds. Whole characters are left out at the end.
[[nodiscard]] std::string quoted_text(std::string_view utf8, std::size_t most);

}  // namespace swat::os
