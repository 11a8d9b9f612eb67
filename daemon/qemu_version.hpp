// QEMU's version, of which some of its ways depend.
#pragma once

#include <charconv>
#include <compare>
#include <string_view>

namespace swat::daemon {

struct QemuVersion {
  int major = 0;
  int minor = 0;

  // "7.2.22" and what follows it; what is no number is 0, older than every QEMU.
  [[nodiscard]] static QemuVersion parse(std::string_view text) {
    QemuVersion version;
    const auto [dot, error] =
        std::from_chars(text.data(), text.data() + text.size(), version.major);
    if (error != std::errc{}) return {};
    text.remove_prefix(static_cast<std::size_t>(dot - text.data()));
    if (!text.starts_with('.')) return version;
    text.remove_prefix(1);
    std::from_chars(text.data(), text.data() + text.size(), version.minor);
    return version;
  }
  friend auto operator<=>(const QemuVersion&, const QemuVersion&) = default;
};

}  // namespace swat::daemon
