// An ELF file laid out in memory as ld.so would map it, and a memory that loses pages.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::symbols {

// Trusts the file: it is one of the machine's own, or a test's.
class MappedFile final : public VirtualMemory {
 public:
  enum class Pointers {
    kAsLinked,   // musl, uClibc, the vDSO
    kRelocated,  // glibc: the load bias is added to most of DT_*, in place
  };

  // `bias` is for ET_DYN; ET_EXEC goes where it was linked. Nothing: not a loadable ELF file.
  [[nodiscard]] static std::optional<MappedFile> load(const std::filesystem::path& file,
                                                      std::uint64_t bias, Pointers pointers);

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override;

  [[nodiscard]] Va base() const { return base_; }
  [[nodiscard]] std::uint64_t bias() const { return bias_; }
  [[nodiscard]] bool is_64_bit() const { return is_64_bit_; }
  [[nodiscard]] std::uint16_t machine() const { return machine_; }
  [[nodiscard]] VaRange extent() const { return {start_, start_ + bytes_.size()}; }
  [[nodiscard]] bool is_code(Va at) const;
  [[nodiscard]] std::span<std::byte> bytes() { return bytes_; }
  [[nodiscard]] std::vector<Va> pages() const;  // those that are mapped
  [[nodiscard]] std::size_t reads() const { return reads_; }

  void lose_page(Va page) { lost_ = page; }

 private:
  template <class Header, class Segment, class Dynamic>
  void place(std::span<const std::byte> file, std::uint64_t bias, Pointers pointers);
  template <class Dynamic>
  void relocate_pointers(std::uint64_t link_address, std::uint64_t size_bytes);

  Va start_;
  Va base_;
  std::uint64_t bias_ = 0;
  bool is_64_bit_ = true;
  std::uint16_t machine_ = 0;
  std::vector<std::byte> bytes_;  // from start_, whole pages
  std::vector<bool> mapped_;      // by page
  std::vector<VaRange> code_;
  std::optional<Va> lost_;
  std::size_t reads_ = 0;
};

}  // namespace swat::symbols
