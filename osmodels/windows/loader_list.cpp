#include "osmodels/windows/loader_list.hpp"

#include <unordered_set>

#include "symbols/span_load.hpp"

namespace swat::os::windows {
namespace {

constexpr std::size_t kMostImages = 8192;
constexpr std::uint64_t kLongestImage = std::uint64_t{1} << 31;

// PEB, PEB_LDR_DATA and LDR_DATA_TABLE_ENTRY, whose first members have stayed where they are since
// 5.0. [51 builds' public symbols; the entry begins with its link in the order of loading]
struct LoaderLayout {
  unsigned word_bytes;
  std::uint32_t peb_ldr;
  std::uint32_t ldr_in_load_order;
  std::uint32_t entry_base;
  std::uint32_t entry_point;
  std::uint32_t entry_size;
  std::uint32_t entry_path;
};
constexpr LoaderLayout kLayouts[] = {{4, 0x0c, 0x0c, 0x18, 0x1c, 0x20, 0x24},
                                     {8, 0x18, 0x10, 0x30, 0x38, 0x40, 0x48}};

Result<std::uint64_t> read_word(VirtualMemory& memory, Va at, unsigned word_bytes) {
  if (word_bytes == 8) return read_as<std::uint64_t>(memory, at);
  return read_as<std::uint32_t>(memory, at);
}

void append_utf8(std::uint32_t code, std::string& text) {
  const auto put = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
  const auto rest = [&](unsigned shift) { put(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    rest(0);
  } else if (code < 0x1'0000) {
    put(0xe0 | code >> 12);
    rest(6);
    rest(0);
  } else {
    put(0xf0 | code >> 18);
    rest(12);
    rest(6);
    rest(0);
  }
}

std::string to_utf8(std::span<const std::byte> utf16) {
  constexpr std::uint32_t kReplacement = 0xfffd;
  std::string text;
  for (std::size_t at = 0; const auto unit = symbols::load<std::uint16_t>(utf16, at); at += 2) {
    std::uint32_t code = *unit;
    const bool is_high = code >= 0xd800 && code < 0xdc00;
    const auto low = is_high ? symbols::load<std::uint16_t>(utf16, at + 2) : std::nullopt;
    if (low && *low >= 0xdc00 && *low < 0xe000) {
      code = 0x1'0000 + ((code - 0xd800) << 10) + (*low - 0xdc00U);
      at += 2;
    } else if (code >= 0xd800 && code < 0xe000) {
      code = kReplacement;
    }
    append_utf8(code, text);
  }
  return text;
}

Result<LoadedImage> read_entry(VirtualMemory& memory, Va entry, const LoaderLayout& layout) {
  LoadedImage image;
  const auto word = [&](std::uint32_t at) {
    return read_word(memory, entry + at, layout.word_bytes);
  };
  image.base = Va{SWAT_TRY(word(layout.entry_base))};
  image.entry = Va{SWAT_TRY(word(layout.entry_point))};
  image.size_bytes = SWAT_TRY(read_as<std::uint32_t>(memory, entry + layout.entry_size));
  image.path = SWAT_TRY(read_unicode_string(memory, entry + layout.entry_path, layout.word_bytes));
  return image;
}

// An entry whose image is not mapped yet has no base.
bool is_mapped(const LoadedImage& image, unsigned word_bytes) {
  const std::uint64_t end = user_end(word_bytes);
  return !image.base.is_null() && image.size_bytes != 0 && image.size_bytes < kLongestImage &&
         image.base.value < end && image.size_bytes <= end - image.base.value;
}

}  // namespace

// Length and MaximumLength in bytes, 16 bits each, and the buffer at the next word.
Result<std::string> read_unicode_string(VirtualMemory& memory, Va at, unsigned word_bytes) {
  const auto length = SWAT_TRY(read_as<std::uint16_t>(memory, at));
  const Va buffer{SWAT_TRY(read_word(memory, at + word_bytes, word_bytes))};
  if (length == 0) return std::string();
  return to_utf8(SWAT_TRY(read_bytes(memory, buffer, length)));
}

Result<Va> find_peb32(VirtualMemory& kernel, Va wow64) {
  constexpr std::uint64_t kUserEnd = std::uint64_t{1} << 32;
  if (wow64.value < kUserEnd) return wow64;
  const Va peb{SWAT_TRY(read_as<std::uint64_t>(kernel, wow64))};
  if (peb.value < kUserEnd) return peb;
  return fail(Errc::kBadImage, "a 32-bit process without its PEB", wow64.value);
}

Result<std::vector<LoadedImage>> read_loader_list(VirtualMemory& memory, Va peb,
                                                  unsigned word_bytes) {
  const LoaderLayout& layout = kLayouts[word_bytes == 8 ? 1 : 0];
  std::vector<LoadedImage> images;
  if (peb.is_null()) return images;
  const Va loader{SWAT_TRY(read_word(memory, peb + layout.peb_ldr, word_bytes))};
  if (loader.is_null()) return images;
  const Va head = loader + layout.ldr_in_load_order;
  std::unordered_set<Va> seen;
  std::size_t room = kMostPathBytes;
  for (Va at = head;;) {
    at = Va{SWAT_TRY(read_word(memory, at, word_bytes))};
    if (at == head || at.is_null()) return images;
    if (seen.size() >= kMostImages || !seen.insert(at).second) {
      return fail(Errc::kBadImage, "list of loaded images without an end", at.value);
    }
    auto image = SWAT_TRY(read_entry(memory, at, layout));
    if (!is_mapped(image, word_bytes)) continue;
    if (image.path.size() > room) {
      return fail(Errc::kBadImage, "paths of loaded images without an end", at.value);
    }
    room -= image.path.size();
    images.push_back(std::move(image));
  }
}

}  // namespace swat::os::windows
