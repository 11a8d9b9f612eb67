// Functions by .symtab: as readelf has them, whatever the architecture, and bounded where they lie.
#include "symbols/elf_symtab.hpp"

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>
#include <set>

#include "elf_reference.hpp"
#include "file_bytes.hpp"

namespace swat::symbols {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> static_samples() {
  std::vector<fs::path> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(SWAT_ELF_SAMPLES, none)) {
    if (entry.path().string().ends_with("-static")) found.push_back(entry.path());
  }
  return found;
}

using Named = std::set<std::pair<std::uint64_t, std::string>>;

bool is_function_type(const std::string& type) { return type == "FUNC" || type == "IFUNC"; }

struct Expected {
  Named typed;
  Named untyped;
};

Expected expected_of(const ReferenceSymtab& reference, std::uint64_t code_mask) {
  Expected expected;
  std::set<std::uint64_t> addresses;
  for (const ReferenceSymbol& symbol : reference.symbols) {
    if (symbol.name.empty()) continue;  // left by ARM's assembler
    if (!is_function_type(symbol.type) || !reference.code_sections.contains(symbol.section))
      continue;
    expected.typed.emplace(symbol.value & code_mask, symbol.name);
    addresses.insert(symbol.value & code_mask);
  }
  for (const ReferenceSymbol& symbol : reference.symbols) {
    const bool is_global = symbol.binding == "GLOBAL" || symbol.binding == "WEAK";
    if (symbol.type == "NOTYPE" && is_global && reference.code_sections.contains(symbol.section) &&
        !addresses.contains(symbol.value)) {
      expected.untyped.emplace(symbol.value, symbol.name);
    }
  }
  return expected;
}

TEST(ElfSymtab, HasTheFunctionsThatReadelfHas) {
  const auto samples = static_samples();
  if (samples.empty()) GTEST_SKIP() << "no clang with lld on this machine";
  std::size_t total = 0;
  for (const fs::path& sample : samples) {
    const auto reference = symtab_with_readelf(sample);
    if (!reference) GTEST_SKIP() << "no readelf on this machine";
    const auto file = place(sample);
    ASSERT_TRUE(file) << sample << file.error().what;
    const auto functions = functions_by_symtab(*file);
    ASSERT_TRUE(functions) << sample << functions.error().what;
    const bool is_arm = file->image().machine() == EM_ARM;
    const Expected expected =
        expected_of(*reference, is_arm ? ~std::uint64_t{1} : ~std::uint64_t{0});
    Named all = expected.typed;
    all.insert(expected.untyped.begin(), expected.untyped.end());
    Named seen;
    for (const ElfFunction& f : *functions) seen.emplace(f.address.value, f.name);
    EXPECT_EQ(seen, all) << sample;
    total += seen.size();
  }
  RecordProperty("functions", static_cast<int>(total));
}

TEST(ElfSymtab, HasWhatTheSourceSays) {
  std::size_t compared = 0;
  for (const fs::path& sample : static_samples()) {
    if (sample.filename().string().starts_with("glibc-")) continue;
    const auto functions = functions_by_symtab(*place(sample));
    ASSERT_TRUE(functions) << sample << functions.error().what;
    std::map<std::string, ElfFunction> by_name;
    for (const ElfFunction& f : *functions) by_name.emplace(f.name, f);
    std::set<std::string> names;
    for (const auto& [name, function] : by_name) names.insert(name);
    EXPECT_EQ(names, (std::set<std::string>{"_start", "also_visible", "chosen", "hidden",
                                            "in_assembly", "pick", "visible"}))
        << sample;
    EXPECT_EQ(by_name.at("visible").address, by_name.at("also_visible").address);
    EXPECT_EQ(by_name.at("chosen").address, by_name.at("pick").address)
        << "of an IFUNC its resolver";
    EXPECT_TRUE(by_name.at("chosen").is_ifunc);
    EXPECT_FALSE(by_name.at("pick").is_ifunc);
    EXPECT_EQ(by_name.at("_start").address.value & 1, 0u) << "Thumb or not";
    ++compared;
  }
  if (compared == 0) GTEST_SKIP() << "no clang with lld on this machine";
}

TEST(ElfSymtab, OfAStrippedFileThereIsNone) {
  for (const fs::path& sample : static_samples()) {
    auto bytes = bytes_of(sample);
    auto header = at_start<Elf64_Ehdr>(bytes);
    if (header.e_ident[EI_CLASS] != ELFCLASS64) continue;
    header.e_shoff = header.e_shnum = header.e_shstrndx = 0;
    put_at_start(bytes, header);
    const auto file = ElfFile::place(shared(bytes), link_base(sample));
    ASSERT_TRUE(file) << file.error().what;
    EXPECT_EQ(functions_by_symtab(*file).error().code, Errc::kNotFound);
  }
}

// LIEF is given nothing that it could stumble over: no crash, no endless loop, an answer or an
// error.
TEST(ElfSymtab, SurvivesDamage) {
  std::mt19937 random(1);
  for (const fs::path& sample : static_samples()) {
    if (sample.filename().string().starts_with("glibc-")) continue;
    const auto whole = bytes_of(sample);
    for (int round = 0; round < 500; ++round) {
      auto bytes = whole;
      if (round % 3 == 0) bytes.resize(random() % bytes.size());
      for (std::size_t n = random() % 40; n > 0 && !bytes.empty(); --n) {
        // Headers at both ends, and the tables before the last.
        const std::size_t reach = std::min<std::size_t>(bytes.size(), 2048);
        const std::size_t at = random() % reach;
        bytes[round % 2 == 0 ? at : bytes.size() - 1 - at] = std::byte(random());
      }
      const auto file = ElfFile::place(shared(bytes), link_base(sample));
      if (!file) continue;
      const auto functions = functions_by_symtab(*file);
      if (!functions) continue;
      for (const ElfFunction& f : *functions) {
        ASSERT_TRUE(file->image().extent().contains(f.address)) << round;
      }
    }
  }
}

// What 0.9 would take a gigabyte for: many symbols that share the end of one long name.
TEST(ElfSymtab, RefusesNamesWithoutBounds) {
  for (const fs::path& sample : static_samples()) {
    auto bytes = bytes_of(sample);
    auto header = at_start<Elf64_Ehdr>(bytes);
    if (header.e_ident[EI_CLASS] != ELFCLASS64) continue;
    constexpr std::size_t kSymbols = 100'000;
    constexpr std::size_t kNameBytes = 1 << 20;
    Elf64_Shdr sections[3] = {};
    sections[1].sh_type = SHT_SYMTAB;
    sections[1].sh_link = 2;
    sections[1].sh_offset = bytes.size();
    sections[1].sh_size = kSymbols * sizeof(Elf64_Sym);
    sections[2].sh_type = SHT_STRTAB;
    sections[2].sh_offset = sections[1].sh_offset + sections[1].sh_size;
    sections[2].sh_size = kNameBytes;
    bytes.resize(sections[2].sh_offset);
    bytes.resize(bytes.size() + kNameBytes, std::byte{'a'});
    header.e_shoff = bytes.size();
    header.e_shnum = 3;
    const auto raw = std::as_bytes(std::span(sections));
    bytes.insert(bytes.end(), raw.begin(), raw.end());
    put_at_start(bytes, header);
    const auto file = ElfFile::place(shared(bytes), link_base(sample));
    ASSERT_TRUE(file) << file.error().what;
    EXPECT_EQ(functions_by_symtab(*file).error().code, Errc::kBadImage);
    return;
  }
}

}  // namespace
}  // namespace swat::symbols
