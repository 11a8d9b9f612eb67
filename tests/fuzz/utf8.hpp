// UTF-8, judged strictly: what readers say that they hand out.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace swat::fuzz {

// Takes the first character off `text`; nullopt: its bytes are no UTF-8, or there are none.
// [RFC 3629, section 4]
inline std::optional<std::uint32_t> take_character(std::string_view& text) {
  struct Form {
    std::uint8_t mask;
    std::uint8_t start;
    std::size_t more_bytes;
    std::uint32_t lowest;  // of the characters that need so many bytes
  };
  constexpr Form kForms[] = {
      {0x80, 0, 0, 0}, {0xe0, 0xc0, 1, 0x80}, {0xf0, 0xe0, 2, 0x800}, {0xf8, 0xf0, 3, 0x1'0000}};
  if (text.empty()) return {};
  const auto first = static_cast<std::uint8_t>(text.front());
  for (const Form& form : kForms) {
    if ((first & form.mask) != form.start || text.size() <= form.more_bytes) continue;
    std::uint32_t code = first & static_cast<std::uint8_t>(~form.mask);
    for (const char c : text.substr(1, form.more_bytes)) {
      const auto byte = static_cast<std::uint8_t>(c);
      if ((byte & 0xc0) != 0x80) return {};
      code = code << 6 | (byte & 0x3f);
    }
    if (code < form.lowest || code > 0x10'ffff || (code >= 0xd800 && code < 0xe000)) return {};
    text.remove_prefix(1 + form.more_bytes);
    return code;
  }
  return {};
}

inline bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    if (!take_character(text)) return false;
  }
  return true;
}

}  // namespace swat::fuzz
