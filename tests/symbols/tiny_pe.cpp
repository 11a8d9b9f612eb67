#include "tiny_pe.hpp"

#include <algorithm>

#include "symbols/pe_image.hpp"

namespace swat::symbols {

TinyPe::TinyPe() : bytes_(kBytes) {
  put_headers();
  put_exports();
  put_imports();
  put_debug();
}

void TinyPe::put_headers() {
  put_text(0, "MZ");
  put(60, kHeader);
  put_text(kHeader, "PE");
  put(kHeader + 4, kPeMachineX86_64);
  put(kHeader + 6, std::uint16_t{2});
  put(kHeader + 8, std::uint32_t{0x1234'5678});
  put(kHeader + 20, std::uint16_t{240});
  put(kOptional, std::uint16_t{0x20b});
  put(kOptional + 16, kCode);
  put(kOptional + 24, std::uint64_t{0x1'8000'0000});
  put(kOptional + 56, kBytes);
  put(kOptional + 108, std::uint32_t{16});
  put_words(kDirectories, {kExports, kExportBytes, kImports, 60});
  put_words(kDirectories + 6 * 8, {kDebug, 28});
  put_words(kDirectories + 13 * 8, {kDelayed, 64});
  put_text(kSections, ".text");
  put_words(kSections + 8, {kPage, kCode, kPage});
  put(kSections + 36, std::uint32_t{0x6000'0020});
  put_text(kSections + 40, ".rdata");
  put_words(kSections + 48, {kPage, kTables, kPage});
  put(kSections + 76, std::uint32_t{0x4000'0040});
}

void TinyPe::put_exports() {
  put_words(kExports + 12, {kTexts, 5, 4, 3, kFunctions, kNames, kIndexes});
  put_words(kFunctions, {kCode, kTables + 0x500, 0, kTexts + 48});
  put_words(kNames, {kTexts + 16, kTexts + 24, kTexts + 32});
  put(kIndexes, std::uint16_t{0});
  put(kIndexes + 2, std::uint16_t{1});
  put(kIndexes + 4, std::uint16_t{3});
  put_text(kTexts, "tiny.dll");
  put_text(kTexts + 16, "call");
  put_text(kTexts + 24, "datum");
  put_text(kTexts + 32, "far");
  put_text(kTexts + 48, "other.far");
}

void TinyPe::put_imports() {
  put_words(kImports, {kLookups, 0, 0, kImports + 0x40, kSlots});
  put_text(kImports + 0x40, "other.dll");
  put(kLookups, std::uint64_t{kImports + 0x50});
  put_text(kImports + 0x52, "need");
  put(kLookups + 8, (std::uint64_t{1} << 63) | 9);
  put_words(kDelayed, {1, kDelayed + 0x90, 0, kDelayedSlots, kDelayedLookups});
  put_text(kDelayed + 0x90, "late.dll");
  put(kDelayedLookups, std::uint64_t{kDelayed + 0xa0});
  put_text(kDelayed + 0xa2, "late");
}

void TinyPe::put_debug() {
  put(kDebug + 12, std::uint32_t{2});
  put_words(kDebug + 16, {40, kRsds});
  put_text(kRsds, "RSDS");
  put_words(kRsds + 4, {0x0011'2233, 0x6677'4455, 0xbbaa'9988, 0xffee'ddcc, 3});
  put_text(kRsds + 24, "tiny.pdb");
}

Result<> TinyPe::read(Va at, std::span<std::byte> into) {
  const std::uint64_t offset = at - kBase;
  if (offset > bytes_.size() || into.size() > bytes_.size() - offset) {
    return fail(Errc::kFault, "not mapped", at.value);
  }
  for (std::uint64_t page = offset / kPage; page * kPage < offset + into.size(); ++page) {
    if (lost_ == page) return fail(Errc::kFault, "lost page", (kBase + page * kPage).value);
  }
  std::copy_n(bytes_.begin() + long(offset), into.size(), into.begin());
  return {};
}

}  // namespace swat::symbols
