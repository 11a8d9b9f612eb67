#include "symbols/elf_image.hpp"

#include <elf.h>

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <string_view>

#include "symbols/elf_dynamic.hpp"
#include "symbols/hex.hpp"

namespace swat::symbols {
namespace {

constexpr std::uint64_t kPageBytes = ElfLayout::kPageBytes;

static_assert(sizeof(Elf64_Ehdr) == 64 && sizeof(Elf32_Ehdr) == 52);
static_assert(sizeof(Elf64_Phdr) == 56 && sizeof(Elf32_Phdr) == 32);
static_assert(sizeof(Elf64_Nhdr) == 12 && sizeof(Elf32_Nhdr) == 12);

struct Header {
  bool is_64_bit;
  std::uint16_t type;
  std::uint16_t machine;
  std::uint64_t entry;
  std::uint64_t segments_at;  // file offset of the program headers
  std::uint16_t segment_bytes;
  std::uint16_t segment_count;
};

struct Segment {
  std::uint32_t type;
  std::uint32_t flags;
  std::uint64_t offset;
  std::uint64_t address;
  std::uint64_t size_bytes;  // in memory
  std::uint64_t file_bytes;
  std::uint64_t alignment;
};

template <class Raw>
Header decode_header(std::span<const std::byte> bytes) {
  const auto raw = elf_record<Raw>(bytes, 0);
  return {.is_64_bit = sizeof(Raw) == sizeof(Elf64_Ehdr),
          .type = raw.e_type,
          .machine = raw.e_machine,
          .entry = raw.e_entry,
          .segments_at = raw.e_phoff,
          .segment_bytes = raw.e_phentsize,
          .segment_count = raw.e_phnum};
}

template <class Raw>
Segment decode_segment(std::span<const std::byte> bytes, std::size_t index) {
  const auto raw = elf_record<Raw>(bytes, index);
  return {.type = raw.p_type,
          .flags = raw.p_flags,
          .offset = raw.p_offset,
          .address = raw.p_vaddr,
          .size_bytes = raw.p_memsz,
          .file_bytes = raw.p_filesz,
          .alignment = raw.p_align};
}

// The kernel looks at neither EI_CLASS nor EI_DATA of a program: it takes the class from e_machine
// and insists on e_phentsize. So a program whose e_ident lies still runs; the class is the one that
// e_phentsize fits, the claimed one first. [load_elf_phdrs, load_elf_binary in fs/binfmt_elf.c]
Result<Header> read_header(VirtualMemory& memory, Va base) {
  std::array<std::byte, sizeof(Elf64_Ehdr)> bytes;
  SWAT_CHECK(memory.read(base, bytes));
  if (std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0) {
    return fail(Errc::kBadImage, "no ELF header", base.value);
  }
  const auto narrow = decode_header<Elf32_Ehdr>(bytes);
  const auto wide = decode_header<Elf64_Ehdr>(bytes);
  const bool narrow_fits = narrow.segment_bytes == sizeof(Elf32_Phdr);
  const bool wide_fits = wide.segment_bytes == sizeof(Elf64_Phdr);
  if (!narrow_fits && !wide_fits) {
    return fail(Errc::kBadImage, "ELF program headers of odd size", base.value);
  }
  const bool claims_32 = bytes[EI_CLASS] == std::byte{ELFCLASS32};
  const Header header = narrow_fits && (claims_32 || !wide_fits) ? narrow : wide;
  // A big-endian one has its type in the other byte.
  if (header.type != ET_EXEC && header.type != ET_DYN) {
    return fail(Errc::kBadImage, "neither a program nor a library of a little-endian machine",
                base.value);
  }
  return header;
}

Result<std::vector<Segment>> read_segments(VirtualMemory& memory, Va base, const Header& header,
                                           const ElfLimits& limits) {
  const std::size_t count = header.segment_count;
  if (count == 0 || count > limits.max_program_headers ||
      header.segments_at > std::numeric_limits<std::uint32_t>::max()) {
    return fail(Errc::kBadImage, "number or place of ELF program headers", base.value);
  }
  const auto bytes =
      SWAT_TRY(read_bytes(memory, base + header.segments_at, count * header.segment_bytes));
  std::vector<Segment> segments;
  segments.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    segments.push_back(header.is_64_bit ? decode_segment<Elf64_Phdr>(bytes, i)
                                        : decode_segment<Elf32_Phdr>(bytes, i));
  }
  return segments;
}

// Link-time address of the file's offset 0. The data segment may begin in the file's first page
// too, which then is mapped twice; `base` is the mapping of the segment that begins first.
Result<std::uint64_t> link_base(const std::vector<Segment>& segments, Va base) {
  const Segment* first = nullptr;
  for (const Segment& segment : segments) {
    if (segment.type != PT_LOAD || segment.offset >= kPageBytes) continue;
    if (first == nullptr || segment.offset < first->offset) first = &segment;
  }
  if (first == nullptr) return fail(Errc::kBadImage, "no PT_LOAD has the ELF header", base.value);
  return first->address - first->offset;
}

// All PT_LOAD by link-time address, to whole pages.
Result<VaRange> link_extent(const std::vector<Segment>& segments, std::uint64_t highest, Va base) {
  VaRange extent{Va{highest}, Va{0}};
  for (const Segment& segment : segments) {
    if (segment.type != PT_LOAD) continue;
    if (segment.address > highest - kPageBytes ||
        segment.size_bytes > highest - kPageBytes - segment.address) {
      return fail(Errc::kBadImage, "PT_LOAD beyond the address space", base.value);
    }
    const Va end = Va{segment.address + segment.size_bytes};
    extent.start = std::min(extent.start, Va{segment.address}.aligned_down(kPageBytes));
    extent.end = std::max(extent.end, (end + (kPageBytes - 1)).aligned_down(kPageBytes));
  }
  if (extent.start >= extent.end) {
    return fail(Errc::kBadImage, "ELF image without PT_LOAD", base.value);
  }
  return extent;
}

// `segment` at run time, as far as it lies in the image.
std::optional<VaRange> place(const ElfLayout& layout, const Segment& segment) {
  const Va start = layout.at(segment.address);
  if (!layout.extent.contains(start)) return {};
  return VaRange{start, start + std::min(segment.size_bytes, layout.extent.end - start)};
}

Result<> place_segments(const std::vector<Segment>& segments, ElfLayout& layout) {
  for (const Segment& segment : segments) {
    if (segment.size_bytes == 0) continue;
    const std::optional<VaRange> where = place(layout, segment);
    if (segment.type == PT_DYNAMIC) {
      if (!where) return fail(Errc::kBadImage, "PT_DYNAMIC outside its image", segment.address);
      layout.dynamic = *where;
    }
    if (!where) continue;
    if (segment.type == PT_LOAD) {
      layout.loads.push_back({*where, segment.offset, std::min(segment.file_bytes, where->size()),
                              (segment.flags & PF_R) != 0, (segment.flags & PF_W) != 0,
                              (segment.flags & PF_X) != 0});
    }
    if (segment.type == PT_INTERP) layout.interpreter = *where;
    if (segment.type == PT_NOTE) layout.notes.push_back({*where, segment.alignment == 8 ? 8U : 4U});
  }
  return {};
}

// A note: sizes of name and description, type, then both, each padded to the segment's alignment.
// [gABI, "Note Section"; 8 for NT_GNU_PROPERTY_TYPE_0 only, Linux Extensions to gABI]
std::optional<std::string> find_build_id(std::span<const std::byte> notes, std::size_t alignment) {
  const auto padded = [&](std::size_t n) { return (n + alignment - 1) & ~(alignment - 1); };
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    const auto note = elf_record<Elf64_Nhdr>(notes, 0);
    const std::size_t description_at = padded(sizeof(note) + std::size_t{note.n_namesz});
    const std::size_t end = description_at + std::size_t{note.n_descsz};
    if (end > notes.size()) return {};
    const auto name = notes.subspan(sizeof(note), note.n_namesz);
    if (note.n_type == NT_GNU_BUILD_ID && name.size() == sizeof(ELF_NOTE_GNU) &&
        std::memcmp(name.data(), ELF_NOTE_GNU, name.size()) == 0) {
      return to_hex(notes.subspan(description_at, note.n_descsz));
    }
    notes = notes.subspan(std::min(padded(end), notes.size()));
  }
  return {};
}

}  // namespace

Result<ElfImage> ElfImage::open(VirtualMemory& memory, Va base, Limits limits) {
  PageReader pages(memory);
  const Header header = SWAT_TRY(read_header(pages, base));
  const auto segments = SWAT_TRY(read_segments(pages, base, header, limits));
  const std::uint64_t highest =
      header.is_64_bit ? std::numeric_limits<std::uint64_t>::max() : std::uint64_t{1} << 32;
  const std::uint64_t bias = base.value - SWAT_TRY(link_base(segments, base));
  const VaRange linked = SWAT_TRY(link_extent(segments, highest, base));

  ElfLayout layout;
  layout.limits = limits;
  layout.is_64_bit = header.is_64_bit;
  layout.machine = header.machine;
  layout.load_bias = header.is_64_bit ? bias : bias & 0xffff'ffff;
  // A file that is mapped to be read, not to be run, is no image.
  if (header.type == ET_EXEC && layout.load_bias != 0) {
    return fail(Errc::kBadImage, "ET_EXEC away from its link address", base.value);
  }
  layout.extent.start = layout.at(linked.start.value);
  if (layout.extent.start.value > highest - linked.size()) {
    return fail(Errc::kBadImage, "ELF image beyond the address space", base.value);
  }
  layout.extent.end = layout.extent.start + linked.size();
  if (!layout.extent.contains(base)) {
    return fail(Errc::kBadImage, "ELF header outside its image", base.value);
  }
  layout.entry = layout.at(header.entry);
  SWAT_CHECK(place_segments(segments, layout));
  return ElfImage(std::move(layout));
}

Result<std::string> ElfImage::soname(VirtualMemory& memory) const {
  if (!has_dynamic()) return fail(Errc::kNotFound, "no DT_SONAME");
  const ElfDynamic dynamic = SWAT_TRY(ElfDynamic::read(memory, layout_));
  const std::optional<std::uint64_t> offset = dynamic.value(DT_SONAME);
  if (!offset) return fail(Errc::kNotFound, "no DT_SONAME");
  const Va strings = SWAT_TRY(dynamic.pointer(DT_STRTAB));
  const std::uint64_t size =
      std::min(dynamic.value(DT_STRSZ).value_or(0), layout_.extent.end - strings);
  if (*offset >= size) return fail(Errc::kBadImage, "DT_SONAME outside DT_STRTAB", strings.value);
  const std::size_t bound = std::min<std::uint64_t>(size - *offset, layout_.limits.max_name_bytes);
  return read_c_string(memory, strings + *offset, bound);
}

Result<Va> ElfImage::debug(VirtualMemory& memory) const {
  const ElfDynamic dynamic = SWAT_TRY(ElfDynamic::read(memory, layout_));
  const std::optional<std::uint64_t> value = dynamic.value(DT_DEBUG);
  if (!value) return fail(Errc::kNotFound, "no DT_DEBUG");
  return Va{*value};
}

Result<> ElfImage::check_dynamic(VirtualMemory& memory) const {
  const ElfDynamic dynamic = SWAT_TRY(ElfDynamic::read(memory, layout_));
  SWAT_CHECK(dynamic.pointer(DT_STRTAB));
  SWAT_CHECK(dynamic.pointer(DT_SYMTAB));
  return {};
}

Result<std::string> ElfImage::interpreter(VirtualMemory& memory) const {
  if (!layout_.interpreter) return fail(Errc::kNotFound, "no PT_INTERP");
  const VaRange& where = *layout_.interpreter;
  const std::size_t bound = std::min<std::uint64_t>(where.size(), layout_.limits.max_name_bytes);
  return read_c_string(memory, where.start, bound);
}

Result<std::string> ElfImage::build_id(VirtualMemory& memory) const {
  for (const ElfLayout::Notes& notes : layout_.notes) {
    const std::size_t size =
        std::min<std::uint64_t>(notes.where.size(), layout_.limits.max_note_bytes);
    const auto bytes = SWAT_TRY(read_bytes(memory, notes.where.start, size));
    if (auto id = find_build_id(bytes, notes.alignment)) return *std::move(id);
  }
  return fail(Errc::kNotFound, "no NT_GNU_BUILD_ID");
}

}  // namespace swat::symbols
