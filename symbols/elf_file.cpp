#include "symbols/elf_file.hpp"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace swat::symbols {
namespace {

constexpr std::uint64_t kPageBytes = ElfLayout::kPageBytes;
constexpr std::size_t kMaxCompared = 1024;  // pages, of one segment

// The raw file, for reading the headers at its start.
class RawFile final : public VirtualMemory {
 public:
  RawFile(std::span<const std::byte> bytes, Va base) : bytes_(bytes), base_(base) {}

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    const std::uint64_t offset = at - base_;
    if (offset > bytes_.size() || into.size() > bytes_.size() - offset) {
      return fail(Errc::kBadImage, "the file ends within its headers");
    }
    std::ranges::copy(bytes_.subspan(offset, into.size()), into.begin());
    return {};
  }

 private:
  std::span<const std::byte> bytes_;
  Va base_;
};

// Where e_shoff, e_shnum and e_shstrndx are in the header: of sections that nobody maps.
template <class Header>
constexpr std::array<std::pair<std::size_t, std::size_t>, 3> kSectionFields = {{
    {offsetof(Header, e_shoff), sizeof(Header::e_shoff)},
    {offsetof(Header, e_shnum), sizeof(Header::e_shnum)},
    {offsetof(Header, e_shstrndx), sizeof(Header::e_shstrndx)},
}};

// `page` is the first of a file.
void blank_section_fields(std::span<std::byte> page, bool is_64_bit) {
  const auto& fields = is_64_bit ? kSectionFields<Elf64_Ehdr> : kSectionFields<Elf32_Ehdr>;
  for (const auto& [at, size_bytes] : fields) {
    if (at + size_bytes <= page.size())
      std::ranges::fill(page.subspan(at, size_bytes), std::byte{});
  }
}

// The part of `whole` that is in the page of `at`.
VaRange within_page(const VaRange& whole, Va at) {
  return {at, std::min(at.aligned_down(kPageBytes) + kPageBytes, whole.end)};
}

VaRange in_file(const ElfLayout::Load& load) {
  return {load.where.start, load.where.start + load.file_bytes};
}

}  // namespace

Result<ElfFile> ElfFile::place(Bytes bytes, Va base) {
  RawFile raw(*bytes, base);
  auto image = SWAT_TRY(ElfImage::open(raw, base));
  for (const ElfLayout::Load& load : image.layout().loads) {
    if (load.file_offset > bytes->size() || load.file_bytes > bytes->size() - load.file_offset) {
      return fail(Errc::kBadImage, "the file ends within a segment");
    }
    if ((load.where.start.value - load.file_offset) % kPageBytes != 0) {
      return fail(Errc::kBadImage, "a segment that cannot be mapped");
    }
  }
  return ElfFile(std::move(bytes), base, std::move(image));
}

Result<> ElfFile::read(Va at, std::span<std::byte> into) const {
  for (const ElfLayout::Load& load : image_.layout().loads) {
    // Whole pages are mapped, with what the file has around the segment.
    const Va start = load.where.start.aligned_down(kPageBytes);
    const Va end = (in_file(load).end + (kPageBytes - 1)).aligned_down(kPageBytes);
    if (load.writable || !(start <= at && at <= end) || into.size() > end - at) continue;
    const std::uint64_t offset = load.file_offset + (at - load.where.start);
    std::ranges::fill(into, std::byte{});
    if (offset >= bytes_->size()) return {};
    const auto rest = bytes().subspan(offset);
    std::ranges::copy(rest.first(std::min(rest.size(), into.size())), into.begin());
    return {};
  }
  return fail(Errc::kFault, "not what the file says for good", at.value);
}

// kFault: the guest does not have it in memory.
Result<bool> ElfFile::equals(VirtualMemory& guest, VaRange where) const {
  std::array<std::byte, kPageBytes> seen_bytes;
  std::array<std::byte, kPageBytes> own_bytes;
  const auto seen = std::span(seen_bytes).first(where.size());
  const auto own = std::span(own_bytes).first(where.size());
  SWAT_CHECK(guest.read(where.start, seen));
  SWAT_CHECK(read(where.start, own));
  if (where.start == base_) {
    blank_section_fields(seen, image_.is_64_bit());
    blank_section_fields(own, image_.is_64_bit());
  }
  return std::memcmp(seen.data(), own.data(), seen.size()) == 0;
}

Result<> ElfFile::prove(VirtualMemory& guest) const {
  bool has_code = false;
  for (const ElfLayout::Load& load : image_.layout().loads) {
    if (load.writable) continue;
    const VaRange all = in_file(load);
    std::size_t compared = 0;
    for (VaRange page = within_page(all, all.start); page.size() != 0 && compared < kMaxCompared;
         page = within_page(all, page.end)) {
      const auto same = equals(guest, page);
      if (!same && same.error().code == Errc::kFault) continue;
      if (!SWAT_TRY(same)) return fail(Errc::kNotFound, "they differ", page.start.value);
      ++compared;
      has_code = has_code || load.executable;
    }
  }
  if (!has_code) return fail(Errc::kFault, "no page of its code is in memory");
  return {};
}

Result<> ElfFileBackedMemory::read(Va at, std::span<std::byte> into) {
  while (!into.empty()) {
    const std::size_t to_page_end = kPageBytes - at.value % kPageBytes;
    const auto piece = into.first(std::min(into.size(), to_page_end));
    if (auto read = guest_.read(at, piece); !read) {
      if (read.error().code != Errc::kFault) return read;
      SWAT_CHECK(file_.read(at, piece));
    }
    into = into.subspan(piece.size());
    at = at + piece.size();
  }
  return {};
}

}  // namespace swat::symbols
