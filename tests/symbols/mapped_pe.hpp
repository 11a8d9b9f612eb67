// A PE file laid out in memory as Windows' loader would map it, and a memory that loses pages.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::symbols {

// Trusts the file: it is a package's, or a test's own.
class MappedPe final : public VirtualMemory {
 public:
  // Nothing: not a PE file.
  [[nodiscard]] static std::optional<MappedPe> load(const std::filesystem::path& file, Va base);

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override;

  [[nodiscard]] Va base() const { return base_; }
  [[nodiscard]] VaRange extent() const { return {base_, base_ + bytes_.size()}; }
  [[nodiscard]] std::vector<std::byte>& bytes() { return bytes_; }
  [[nodiscard]] std::vector<Va> pages() const;
  void lose_page(Va page) { lost_ = page; }

 private:
  Va base_;
  std::vector<std::byte> bytes_;
  std::optional<Va> lost_;
};

}  // namespace swat::symbols
