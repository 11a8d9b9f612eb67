// Text from the guest on its way to a line of ours.
#pragma once

#include <string>
#include <string_view>

namespace swat::daemon {

// Process names, paths and symbols are whatever the guest says: a newline in one would forge lines.
// Control characters become \ooo, as in /proc/PID/maps; the rest, UTF-8 included, stays.
[[nodiscard]] inline std::string printable(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      safe += c;
      continue;
    }
    safe += '\\';
    for (const int shift : {6, 3, 0}) safe += static_cast<char>('0' + ((byte >> shift) & 7));
  }
  return safe;
}

}  // namespace swat::daemon
