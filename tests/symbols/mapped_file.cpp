#include "mapped_file.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

namespace swat::symbols {
namespace {

constexpr std::uint64_t kPage = 4096;

std::uint64_t page_down(std::uint64_t n) { return n & ~(kPage - 1); }
std::uint64_t page_up(std::uint64_t n) { return page_down(n + kPage - 1); }

template <class T>
T load_at(std::span<const std::byte> bytes, std::uint64_t offset) {
  T value;
  std::memcpy(&value, bytes.subspan(offset, sizeof(T)).data(), sizeof(T));
  return value;
}

bool glibc_relocates(std::int64_t tag) {
  switch (tag) {
    case DT_HASH:
    case DT_PLTGOT:
    case DT_STRTAB:
    case DT_SYMTAB:
    case DT_RELA:
    case DT_REL:
    case DT_JMPREL:
    case DT_VERSYM:
    case DT_GNU_HASH:
      return true;
    default:
      return false;
  }
}

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<std::byte> bytes(std::filesystem::file_size(path));
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!in) bytes.clear();
  return bytes;
}

}  // namespace

std::optional<MappedFile> MappedFile::load(const std::filesystem::path& path, std::uint64_t bias,
                                           Pointers pointers) {
  std::ifstream probe(path, std::ios::binary);
  char magic[20] = {};
  if (!probe.read(magic, sizeof(magic)) || std::memcmp(magic, ELFMAG, SELFMAG) != 0) return {};
  const char type = magic[16];
  if (magic[EI_DATA] != ELFDATA2LSB || (type != ET_EXEC && type != ET_DYN)) return {};
  const std::vector<std::byte> file = read_file(path);
  MappedFile out;
  out.is_64_bit_ = magic[EI_CLASS] == ELFCLASS64;
  if (type == ET_EXEC) bias = 0;
  if (out.is_64_bit_) {
    out.place<Elf64_Ehdr, Elf64_Phdr, Elf64_Dyn>(file, bias, pointers);
  } else {
    out.place<Elf32_Ehdr, Elf32_Phdr, Elf32_Dyn>(file, bias, pointers);
  }
  if (out.bytes_.empty()) return {};
  return out;
}

template <class Header, class Segment, class Dynamic>
void MappedFile::place(std::span<const std::byte> file, std::uint64_t bias, Pointers pointers) {
  const auto header = load_at<Header>(file, 0);
  machine_ = header.e_machine;
  bias_ = bias;
  std::vector<Segment> segments;
  std::uint64_t low = ~std::uint64_t{0};
  std::uint64_t high = 0;
  std::optional<Segment> dynamic;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = load_at<Segment>(file, header.e_phoff + i * sizeof(Segment));
    if (segment.p_type == PT_DYNAMIC && segment.p_filesz != 0) dynamic = segment;
    if (segment.p_type != PT_LOAD) continue;
    segments.push_back(segment);
    low = std::min(low, page_down(segment.p_vaddr));
    high = std::max(high, page_up(std::uint64_t{segment.p_vaddr} + segment.p_memsz));
  }
  if (segments.empty()) return;
  start_ = Va{low + bias};
  bytes_.resize(high - low);
  mapped_.resize(bytes_.size() / kPage);
  bool has_base = false;
  for (const Segment& segment : segments) {
    const std::uint64_t at = page_down(segment.p_vaddr) - low;
    const std::uint64_t from = page_down(segment.p_offset);
    const bool has_bss = segment.p_memsz > segment.p_filesz;
    // A page's worth of the file comes along, but the part that .bss takes is cleared.
    const std::uint64_t end = std::uint64_t{segment.p_offset} + segment.p_filesz;
    const std::uint64_t to = std::min<std::uint64_t>(has_bss ? end : page_up(end), file.size());
    if (to > from) std::ranges::copy(file.subspan(from, to - from), bytes_.begin() + long(at));
    const std::uint64_t last = page_up(std::uint64_t{segment.p_vaddr} + segment.p_memsz) - low;
    std::fill(mapped_.begin() + long(at / kPage), mapped_.begin() + long(last / kPage), true);
    const Va run = Va{segment.p_vaddr + bias};
    if ((segment.p_flags & PF_X) != 0) code_.push_back({run, run + segment.p_memsz});
    if (from == 0 && !has_base) base_ = Va{page_down(segment.p_vaddr) + bias};
    has_base = has_base || from == 0;
  }
  if (dynamic && pointers == Pointers::kRelocated) {
    relocate_pointers<Dynamic>(dynamic->p_vaddr, dynamic->p_memsz);
  }
}

template <class Dynamic>
void MappedFile::relocate_pointers(std::uint64_t link_address, std::uint64_t size_bytes) {
  std::span<std::byte> rest = std::span(bytes_).subspan(Va{link_address + bias_} - start_);
  for (rest = rest.first(size_bytes); rest.size() >= sizeof(Dynamic);
       rest = rest.subspan(sizeof(Dynamic))) {
    auto entry = load_at<Dynamic>(rest, 0);
    if (entry.d_tag == DT_NULL) break;
    if (!glibc_relocates(entry.d_tag)) continue;
    entry.d_un.d_ptr += static_cast<decltype(entry.d_un.d_ptr)>(bias_);
    std::memcpy(rest.data(), &entry, sizeof(entry));
  }
}

Result<> MappedFile::read(Va at, std::span<std::byte> into) {
  ++reads_;
  const Va end = at + into.size();
  for (Va page = at.aligned_down(kPage); page < end; page = page + kPage) {
    const Va first = std::max(page, at);
    if (!extent().contains(first) || !mapped_[(page - start_) / kPage] || page == lost_) {
      return fail(Errc::kFault, "not mapped", first.value);
    }
  }
  std::ranges::copy(std::span(bytes_).subspan(at - start_, into.size()), into.begin());
  return {};
}

bool MappedFile::is_code(Va at) const {
  return std::ranges::any_of(code_, [&](const VaRange& range) { return range.contains(at); });
}

std::vector<Va> MappedFile::pages() const {
  std::vector<Va> out;
  for (std::size_t i = 0; i < mapped_.size(); ++i) {
    if (mapped_[i]) out.push_back(start_ + i * kPage);
  }
  return out;
}

}  // namespace swat::symbols
