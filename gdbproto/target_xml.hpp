// target.xml: which registers the stub has, what they are called and where they lie in `g`.
// Numbers vary with CPU model and QEMU version, so everything above goes by name.
// [GDB manual, "Target Description Format"]
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "symbols/result.hpp"

namespace swat::gdbproto {

struct RegisterInfo {
  std::string name;
  unsigned number;     // for p/P
  std::size_t offset;  // in the reply to `g`, bytes
  std::size_t size_bytes;
};

class TargetDescription {
 public:
  // Resolves xi:include through `fetch` (an annex's text). Bounded in depth, size and registers.
  [[nodiscard]] static Result<TargetDescription> parse(
      std::string_view xml, const std::function<Result<std::string>(std::string_view)>& fetch);

  [[nodiscard]] const std::string& architecture() const { return architecture_; }  // "i386:x86-64"
  [[nodiscard]] const std::vector<RegisterInfo>& registers() const { return registers_; }
  [[nodiscard]] const RegisterInfo* find(std::string_view name) const;
  // The value of a register of at most 8 bytes out of `g` bytes.
  [[nodiscard]] Result<std::uint64_t> value(std::span<const std::byte> g,
                                            const RegisterInfo& reg) const;

 private:
  void index_names();
  [[nodiscard]] std::string_view name_of(std::size_t i) const { return registers_[i].name; }

  std::string architecture_;
  std::vector<RegisterInfo> registers_;
  std::vector<std::size_t> by_name_;  // indices of registers_, for find(): it is on the hot path
};

}  // namespace swat::gdbproto
