#include "symbols/pe_image.hpp"

#include <optional>
#include <span>

#include "symbols/pe_tables.hpp"
#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

constexpr std::uint16_t kDosMagic = 0x5a4d;   // "MZ"
constexpr std::uint32_t kPeMagic = 0x4550;    // "PE\0\0"
constexpr std::uint32_t kHeaderPointer = 60;  // e_lfanew, in the DOS header
constexpr std::uint64_t kPageBytes = 4096;

struct FileHeader {
  std::uint32_t magic;
  std::uint16_t machine;
  std::uint16_t section_count;
  std::uint32_t time_stamp;
  std::uint32_t symbols_at;
  std::uint32_t symbol_count;
  std::uint16_t optional_bytes;
  std::uint16_t characteristics;
};
static_assert(sizeof(FileHeader) == 24);

struct SectionHeader {
  std::array<char, 8> name;
  std::uint32_t virtual_bytes;
  std::uint32_t rva;
  std::uint32_t file_bytes;
  std::uint32_t file_offset;
  std::uint32_t relocations_at;
  std::uint32_t lines_at;
  std::uint16_t relocation_count;
  std::uint16_t line_count;
  std::uint32_t characteristics;
};
static_assert(sizeof(SectionHeader) == 40);

constexpr std::uint32_t kSectionExecutes = 0x2000'0000;  // IMAGE_SCN_MEM_EXECUTE
constexpr std::uint32_t kSectionWrites = 0x8000'0000;    // IMAGE_SCN_MEM_WRITE

// Where the two forms of the optional header differ.
struct OptionalHeaderForm {
  std::uint16_t magic;
  std::uint8_t word_bytes;
  std::uint32_t linked_base_at;
  std::uint32_t directory_count_at;
  std::uint32_t directories_at;
};
constexpr OptionalHeaderForm kForms[] = {
    {0x10b, 4, 28, 92, 96},    // PE32
    {0x20b, 8, 24, 108, 112},  // PE32+
};
// Where they do not.
constexpr std::uint32_t kEntryAt = 16;
constexpr std::uint32_t kImageBytesAt = 56;

struct Header {
  FileHeader file;
  std::uint32_t sections_at;  // from the base
  std::vector<std::byte> optional;
  const OptionalHeaderForm* form;
};

tl::unexpected<Error> bad(std::string_view what, Va base) {
  return fail(Errc::kBadImage, std::string(what), base.value);
}

Result<Header> read_header(VirtualMemory& memory, Va base, const PeLimits& limits) {
  if (SWAT_TRY(read_as<std::uint16_t>(memory, base)) != kDosMagic) {
    return bad("no PE image: no MZ", base);
  }
  const auto at = SWAT_TRY(read_as<std::uint32_t>(memory, base + kHeaderPointer));
  if (at > limits.max_header_bytes) return bad("PE header far from its image's base", base);
  Header header{};
  header.file = SWAT_TRY(read_as<FileHeader>(memory, base + at));
  if (header.file.magic != kPeMagic) return bad("MZ image that is no PE", base);
  const std::uint32_t optional_at = at + sizeof(FileHeader);
  header.sections_at = optional_at + header.file.optional_bytes;
  const std::size_t sections_bytes = header.file.section_count * sizeof(SectionHeader);
  if (header.file.section_count > limits.max_sections ||
      header.sections_at + sections_bytes > limits.max_header_bytes) {
    return bad("number or place of PE sections", base);
  }
  header.optional =
      SWAT_TRY(read_bytes(memory, base + optional_at, std::size_t{header.file.optional_bytes}));
  const auto magic = load<std::uint16_t>(header.optional, 0);
  const auto* const form = std::ranges::find(kForms, magic, &OptionalHeaderForm::magic);
  if (form == std::end(kForms) || header.optional.size() < form->directories_at) {
    return bad("neither PE32 nor PE32+", base);
  }
  header.form = form;
  return header;
}

// The header is known to reach up to its directories.
std::uint32_t field(const Header& header, std::uint32_t at) {
  return load<std::uint32_t>(header.optional, at).value_or(0);
}

void place_directories(const Header& header, PeLayout& layout) {
  const std::size_t count = std::min<std::size_t>(field(header, header.form->directory_count_at),
                                                  layout.directories.size());
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t at = header.form->directories_at + i * sizeof(PeDirectory);
    layout.directories[i] = load<PeDirectory>(header.optional, at).value_or(PeDirectory{});
  }
}

// As mapped: VirtualSize, or what the file has where that is 0, to whole pages.
VaRange place(const PeLayout& layout, const SectionHeader& section) {
  const std::uint64_t room =
      layout.extent.size() - std::min<std::uint64_t>(section.rva, layout.extent.size());
  const std::uint64_t bytes =
      section.virtual_bytes != 0 ? section.virtual_bytes : section.file_bytes;
  const std::uint64_t pages = (bytes + kPageBytes - 1) & ~(kPageBytes - 1);
  const Va start = layout.at(section.rva);
  return {start, start + std::min(pages, room)};
}

Result<> place_sections(VirtualMemory& memory, const Header& header, PeLayout& layout) {
  for (std::size_t i = 0; i < header.file.section_count; ++i) {
    const std::uint64_t at = header.sections_at + i * sizeof(SectionHeader);
    const auto section = SWAT_TRY(read_as<SectionHeader>(memory, layout.extent.start + at));
    const std::string_view name(section.name.data(), section.name.size());
    layout.sections.push_back({std::string(name.substr(0, name.find('\0'))), place(layout, section),
                               (section.characteristics & kSectionExecutes) != 0,
                               (section.characteristics & kSectionWrites) != 0});
  }
  return {};
}

}  // namespace

Result<PeImage> PeImage::open(VirtualMemory& memory, Va base, PeLimits limits) {
  PageReader pages(memory);
  const Header header = SWAT_TRY(read_header(pages, base, limits));
  PeLayout layout;
  layout.limits = limits;
  layout.is_64_bit = header.form->word_bytes == 8;
  layout.machine = header.file.machine;
  layout.time_stamp = header.file.time_stamp;
  layout.linked_base =
      load_word(header.optional, header.form->linked_base_at, header.form->word_bytes).value_or(0);
  const std::uint64_t size = field(header, kImageBytesAt);
  const std::uint64_t highest = layout.is_64_bit ? ~std::uint64_t{0} : 0xffff'ffff;
  if (size == 0 || size > limits.max_image_bytes || base.value > highest ||
      size > highest - base.value) {
    return bad("size of a PE image", base);
  }
  layout.extent = {base, base + size};
  if (const std::uint32_t entry = field(header, kEntryAt);
      layout.contains(entry, 1) && entry != 0) {
    layout.entry = layout.at(entry);
  }
  place_directories(header, layout);
  SWAT_CHECK(place_sections(pages, header, layout));
  return PeImage(std::move(layout));
}

Result<std::string> PeTables::name(std::uint32_t rva) {
  if (!layout_.contains(rva, 1)) return outside(rva);
  const std::size_t bound =
      std::min<std::uint64_t>(layout_.extent.size() - rva, layout_.limits.max_name_bytes);
  auto text = SWAT_TRY(read_c_string(pages_, layout_.at(rva), bound));
  if (text.size() > budget_) {
    return fail(Errc::kBadImage, "too many bytes of PE names", layout_.at(rva).value);
  }
  budget_ -= text.size();
  return text;
}

}  // namespace swat::symbols
