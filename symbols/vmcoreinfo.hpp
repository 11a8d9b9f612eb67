// VMCOREINFO: the text that a kernel with kdump support keeps about itself.
// [Documentation/admin-guide/kdump/vmcoreinfo.rst of Linux]
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "symbols/kernel_image.hpp"
#include "symbols/result.hpp"

namespace swat::symbols {

class Vmcoreinfo {
 public:
  [[nodiscard]] static Result<Vmcoreinfo> parse(std::string_view text);
  // The first copy in the image that parses.
  [[nodiscard]] static Result<Vmcoreinfo> find(const KernelImage& image);

  [[nodiscard]] const std::string& os_release() const { return os_release_; }
  [[nodiscard]] std::optional<Va> symbol(std::string_view name) const;             // SYMBOL(name)=
  [[nodiscard]] std::optional<std::uint64_t> number(std::string_view name) const;  // NUMBER(name)=
  // Any other `key=value` line, as text: "KERNELOFFSET", "BUILD-ID", ...
  [[nodiscard]] std::optional<std::string_view> text(std::string_view key) const;

 private:
  std::string os_release_;
  std::map<std::string, std::string, std::less<>> lines_;
};

// "Linux version 6.1.0-56-amd64 (...) ..." up to its newline, the first in the image.
[[nodiscard]] Result<std::string> find_linux_banner(const KernelImage& image);

}  // namespace swat::symbols
