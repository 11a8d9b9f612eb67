// Records, arrays and names of a mapped PE image's tables: for the readers of pe_image.hpp only.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "symbols/page_reader.hpp"
#include "symbols/pe_layout.hpp"

namespace swat::symbols {

// Lives no longer than one query. What reaches out of the image is kBadImage.
class PeTables {
 public:
  PeTables(VirtualMemory& memory, const PeLayout& layout)
      : pages_(memory),
        memory_(memory),
        layout_(layout),
        budget_(layout.limits.max_all_names_bytes) {}

  template <class T>
  [[nodiscard]] Result<T> record(std::uint32_t rva) {
    if (!layout_.contains(rva, sizeof(T))) return outside(rva);
    return read_as<T>(pages_, layout_.at(rva));
  }
  // `count` is the caller's bound, already checked; read in one piece.
  template <class T>
  [[nodiscard]] Result<std::vector<T>> array(std::uint32_t rva, std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<T> out(count);
    if (count == 0) return out;
    if (!layout_.contains(rva, count * sizeof(T))) return outside(rva);
    SWAT_CHECK(memory_.read(layout_.at(rva), std::as_writable_bytes(std::span(out))));
    return out;
  }
  // kBadImage also when there are too many bytes of them in all.
  [[nodiscard]] Result<std::string> name(std::uint32_t rva);

 private:
  [[nodiscard]] tl::unexpected<Error> outside(std::uint32_t rva) const {
    return fail(Errc::kBadImage, "PE table reaches out of its image", layout_.at(rva).value);
  }

  PageReader pages_;
  VirtualMemory& memory_;
  const PeLayout& layout_;
  std::size_t budget_;
};

}  // namespace swat::symbols
