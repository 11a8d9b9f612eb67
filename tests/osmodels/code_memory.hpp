// Bytes of code at one address; whatever surrounds them is not paged in.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::test {

class CodeMemory final : public VirtualMemory {
 public:
  CodeMemory(Va at, std::initializer_list<std::uint8_t> code)
      : CodeMemory(at, std::vector<std::uint8_t>(code)) {}
  CodeMemory(Va at, std::vector<std::uint8_t> code) : at_(at), code_(std::move(code)) {}

  // "0f 01 f8 ...": as objdump prints it.
  [[nodiscard]] static CodeMemory of_hex(Va at, std::string_view hex) {
    std::vector<std::uint8_t> code;
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    for (std::size_t i = 0; i + 1 < hex.size(); i += 3) {
      code.push_back(static_cast<std::uint8_t>(digit(hex[i]) * 16 + digit(hex[i + 1])));
    }
    return {at, std::move(code)};
  }

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    ++reads;
    const std::uint64_t offset = at - at_;
    if (offset > code_.size() || code_.size() - offset < into.size()) {
      return fail(Errc::kFault, "no page there", at.value);
    }
    std::memcpy(into.data(), code_.data() + offset, into.size());
    return {};
  }

  std::size_t reads = 0;

 private:
  Va at_;
  std::vector<std::uint8_t> code_;
};

}  // namespace swat::test
