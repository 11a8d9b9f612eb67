// Images that lie: every lie has its answer, none crashes or hangs, and no name comes from outside.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "symbols/elf_image.hpp"
#include "tiny_elf.hpp"

namespace swat::symbols {
namespace {

TEST(TinyElf, ReadsAsItWasWritten) {
  TinyElf elf;
  const auto image = ElfImage::open(elf, TinyElf::kBase);
  ASSERT_TRUE(image) << image.error().what;
  const auto exports = image->exports(elf);
  ASSERT_TRUE(exports) << exports.error().what;
  const Va code = TinyElf::kBase + TinyElf::kCode;
  EXPECT_TRUE(*exports == (std::vector<ElfExport>{{code, 16, "call", "V1", false, true},
                                                  {code + 16, 16, "pick", "", true, false}}));
  const auto slots = image->import_slots(elf);
  ASSERT_TRUE(slots) << slots.error().what;
  const Va got = TinyElf::kBase + TinyElf::kSlots;
  EXPECT_TRUE(*slots ==
              (std::vector<ImportSlot>{{got, "need", 0}, {got + 8, "need"}, {got + 16, "pick"}}));
  EXPECT_EQ(image->soname(elf), "libtiny.so");
  EXPECT_EQ(image->build_id(elf), "1234abcd");
  EXPECT_EQ(image->entry(), code.value);
}

TEST(TinyElf, HasItsSymbolsWhereTheyWereWritten) {
  TinyElf elf;
  const auto image = ElfImage::open(elf, TinyElf::kBase);
  ASSERT_TRUE(image) << image.error().what;
  const auto call = image->find(elf, "call");
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_EQ(call->address, TinyElf::kBase + TinyElf::kCode);
  EXPECT_EQ(call->size_bytes, 16u);
  const auto datum = image->find(elf, "datum");
  ASSERT_TRUE(datum) << datum.error().what;
  EXPECT_EQ(datum->address, TinyElf::kBase + TinyElf::kSlots);
  EXPECT_EQ(datum->size_bytes, 8u);
  for (const char* absent : {"need", "nothing", "cal", ""}) {
    EXPECT_EQ(image->find(elf, absent).error().code, Errc::kNotFound) << absent;
  }
}

TEST(TinyElf, FindsNoSymbolThatLiesOutsideIt) {
  TinyElf elf;
  const std::uint64_t datum = TinyElf::kSymbols + 3 * sizeof(Elf64_Sym);
  auto symbol = elf.get<Elf64_Sym>(datum);
  symbol.st_size = TinyElf::kBytes;
  elf.put(datum, symbol);
  const auto image = ElfImage::open(elf, TinyElf::kBase);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->find(elf, "datum").error().code, Errc::kBadImage);
}

struct Lie {
  const char* name;
  std::function<void(TinyElf&)> tell;
  Errc answer = Errc::kBadImage;
};

void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }

std::string name_of(const testing::TestParamInfo<Lie>& row) { return row.param.name; }

template <class T>
void edit(TinyElf& elf, std::uint64_t at, const std::function<void(T&)>& change) {
  T value = elf.get<T>(at);
  change(value);
  elf.put(at, value);
}

std::function<void(TinyElf&)> header(const std::function<void(Elf64_Ehdr&)>& change) {
  return [change](TinyElf& elf) { edit<Elf64_Ehdr>(elf, 0, change); };
}

std::function<void(TinyElf&)> segment(std::size_t index,
                                      const std::function<void(Elf64_Phdr&)>& change) {
  return [=](TinyElf& elf) {
    edit<Elf64_Phdr>(elf, TinyElf::kSegments + index * sizeof(Elf64_Phdr), change);
  };
}

std::function<void(TinyElf&)> dynamic(std::int64_t tag, std::uint64_t value) {
  return [=](TinyElf& elf) { elf.set_dynamic(tag, value); };
}

std::function<void(TinyElf&)> word(std::uint64_t at, std::uint32_t value) {
  return [=](TinyElf& elf) { elf.put(at, value); };
}

class LiesInHeaders : public testing::TestWithParam<Lie> {};

TEST_P(LiesInHeaders, FailOpen) {
  TinyElf elf;
  GetParam().tell(elf);
  const auto image = ElfImage::open(elf, TinyElf::kBase);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, GetParam().answer) << image.error().what;
}

INSTANTIATE_TEST_SUITE_P(
    Lies, LiesInHeaders,
    testing::Values(Lie{"Magic", header([](auto& h) { h.e_ident[1] = 'X'; })},
                    Lie{"ObjectFile", header([](auto& h) { h.e_type = ET_REL; })},
                    Lie{"BigEndian", header([](auto& h) { h.e_type = 0x300; })},
                    Lie{"HeaderSize", header([](auto& h) { h.e_phentsize = 57; })},
                    Lie{"NoHeaders", header([](auto& h) { h.e_phnum = 0; })},
                    Lie{"ManyHeaders", header([](auto& h) { h.e_phnum = 0xffff; })},
                    Lie{"FarHeaders", header([](auto& h) { h.e_phoff = 0x100000; }), Errc::kFault},
                    Lie{"EndlesslyFarHeaders", header([](auto& h) { h.e_phoff = ~0ULL; })},
                    Lie{"ProgramElsewhere", header([](auto& h) { h.e_type = ET_EXEC; })},
                    Lie{"NoLoad", segment(0, [](auto& s) { s.p_type = PT_NULL; })},
                    Lie{"HeaderNotMapped", segment(0, [](auto& s) { s.p_offset = 0x1000; })},
                    Lie{"EmptyLoad", segment(0, [](auto& s) { s.p_memsz = 0; })},
                    Lie{"EndlessLoad", segment(0, [](auto& s) { s.p_memsz = ~0ULL; })},
                    Lie{"WrappingLoad", segment(0, [](auto& s) { s.p_vaddr = ~0ULL - 0xfff; })},
                    Lie{"LoadUpToTheTop", segment(0, [](auto& s) { s.p_memsz = ~0ULL - 0x5000; })},
                    Lie{"DynamicOutside",
                        segment(1, [](auto& s) { s.p_vaddr = TinyElf::kBytes; })}),
    name_of);

class LiesAboutExports : public testing::TestWithParam<Lie> {};

TEST_P(LiesAboutExports, FailExports) {
  TinyElf elf;
  GetParam().tell(elf);
  const auto image = ElfImage::open(elf, TinyElf::kBase);
  ASSERT_TRUE(image) << image.error().what;
  const auto exports = image->exports(elf);
  ASSERT_FALSE(exports);
  EXPECT_EQ(exports.error().code, GetParam().answer) << exports.error().what;
}

void fill_from_dynamic(TinyElf& elf) {
  std::fill(elf.bytes().begin() + TinyElf::kDynamic, elf.bytes().end(), std::byte{1});
}

INSTANTIATE_TEST_SUITE_P(
    Lies, LiesAboutExports,
    testing::Values(Lie{"DynamicWithoutEnd", fill_from_dynamic},
                    Lie{"StringsOutside", dynamic(DT_STRTAB, 0x3000)},
                    Lie{"NoStrings", [](TinyElf& e) { e.rename_dynamic(DT_STRTAB, DT_DEBUG); }},
                    Lie{"StringsTooLarge", dynamic(DT_STRSZ, ~0ULL)},
                    Lie{"StringsPastTheEnd", dynamic(DT_STRSZ, 0x2000)},
                    Lie{"SymbolsOutside", dynamic(DT_SYMTAB, 0xffff'ffff'ffff'f000)},
                    Lie{"SymbolsPastTheEnd", dynamic(DT_SYMTAB, 0x2ff0)},
                    Lie{"SymbolSize", dynamic(DT_SYMENT, 25)},
                    Lie{"HashOutside", dynamic(DT_GNU_HASH, 0x4000)},
                    Lie{"HashPastTheEnd", dynamic(DT_GNU_HASH, 0x2ff8)},
                    Lie{"ManyBuckets", word(TinyElf::kGnuHash, ~0U)},
                    Lie{"BucketsPastTheEnd", word(TinyElf::kGnuHash, 0x2000)},
                    Lie{"ManyBloomWords", word(TinyElf::kGnuHash + 8, ~0U)},
                    Lie{"FirstSymbolTooHigh", word(TinyElf::kGnuHash + 4, ~0U)},
                    Lie{"BucketBelowFirstSymbol",
                        [](TinyElf& elf) {
                          elf.put(TinyElf::kGnuHash + 24, std::array<std::uint32_t, 2>{1, 0});
                        }},
                    Lie{"BucketTooHigh", word(TinyElf::kGnuHash + 24, ~0U)},
                    Lie{"ChainWithoutEnd",
                        [](TinyElf& elf) {
                          std::fill(elf.bytes().begin() + TinyElf::kGnuHash + 32, elf.bytes().end(),
                                    std::byte{2});
                        }},
                    Lie{"ManySymbols",
                        [](TinyElf& elf) {
                          elf.set_dynamic(DT_GNU_HASH, TinyElf::kHash);
                          elf.rename_dynamic(DT_GNU_HASH, DT_HASH);
                          elf.put(TinyElf::kHash + 4, ~0U);
                        }},
                    Lie{"NoStringSize", [](TinyElf& e) { e.rename_dynamic(DT_STRSZ, DT_DEBUG); }},
                    Lie{"NameOutside",
                        word(TinyElf::kSymbols + 2 * sizeof(Elf64_Sym), TinyElf::kStringBytes)},
                    Lie{"NameWithoutEnd",
                        [](TinyElf& elf) {
                          std::fill_n(elf.bytes().begin() + TinyElf::kStrings,
                                      TinyElf::kStringBytes, std::byte{'x'});
                        }},
                    Lie{"UndefinedVersion",
                        [](TinyElf& elf) { elf.put(TinyElf::kNumbers + 4, std::uint16_t{9}); }},
                    Lie{"VersionsPastTheEnd", dynamic(DT_VERDEF, 0x2fff)},
                    Lie{"ManyVersions", dynamic(DT_VERDEFNUM, ~0ULL)},
                    Lie{"NextVersionOutside", word(TinyElf::kVersions + 16, ~0U)},
                    Lie{"VersionNameOutside", word(TinyElf::kVersions + 12, ~0U)},
                    Lie{"VersionOfVersions",
                        [](TinyElf& elf) { elf.put(TinyElf::kVersions, std::uint16_t{2}); }},
                    Lie{"NumbersPastTheEnd", dynamic(DT_VERSYM, 0x2ffa)}),
    name_of);

class LiesAboutImports : public testing::TestWithParam<Lie> {};

TEST_P(LiesAboutImports, FailImportSlots) {
  TinyElf elf;
  GetParam().tell(elf);
  const auto image = ElfImage::open(elf, TinyElf::kBase);
  ASSERT_TRUE(image) << image.error().what;
  const auto slots = image->import_slots(elf);
  ASSERT_FALSE(slots);
  EXPECT_EQ(slots.error().code, GetParam().answer) << slots.error().what;
}

INSTANTIATE_TEST_SUITE_P(
    Lies, LiesAboutImports,
    testing::Values(
        Lie{"UnknownMachine", header([](auto& h) { h.e_machine = EM_MIPS; }), Errc::kUnsupported},
        Lie{"RelocationsOutside", dynamic(DT_RELA, 0x3000)},
        Lie{"RelocationsPastTheEnd", dynamic(DT_RELASZ, 0x2400)},
        Lie{"ManyRelocations", dynamic(DT_RELASZ, 24ULL << 40)},
        Lie{"OddSizeOfRelocations", dynamic(DT_RELASZ, 25)},
        Lie{"RelocationSize", dynamic(DT_RELAENT, 8)},
        Lie{"KindOfJumpSlots", dynamic(DT_PLTREL, 3)},
        Lie{"MoreRelativeThanAll",
            [](TinyElf& elf) {
              elf.rename_dynamic(DT_SONAME, DT_RELACOUNT);
              elf.set_dynamic(DT_RELACOUNT, 3);
            }},
        Lie{"SymbolTooHigh", word(TinyElf::kJumpSlots + 12, ~0U)},
        Lie{"SymbolPastTheEnd", word(TinyElf::kJumpSlots + 12, 0x1000)},
        Lie{"SlotOutside", [](TinyElf& elf) { elf.put(TinyElf::kJumpSlots, 0x2ff9ULL); }},
        Lie{"SlotWraps", [](TinyElf& elf) { elf.put(TinyElf::kJumpSlots, ~0ULL); }},
        Lie{"NameOutside", word(TinyElf::kSymbols + 24, ~0U)}),
    name_of);

// The kernel runs such programs.
TEST(TinyElf, IdentifierMayLieAboutClassAndByteOrder) {
  TinyElf elf;
  elf.put(EI_CLASS, std::array{char{ELFCLASS32}, char{ELFDATA2MSB}});
  const auto image = ElfImage::open(elf, TinyElf::kBase);
  ASSERT_TRUE(image);
  EXPECT_TRUE(image->is_64_bit());
  EXPECT_EQ(image->exports(elf)->size(), 2u);
}

TEST(TinyElf, DynamicSizeMayLieAsLdSoIgnoresIt) {
  TinyElf elf;
  segment(1, [](Elf64_Phdr& s) { s.p_memsz = 1; })(elf);
  const auto image = ElfImage::open(elf, TinyElf::kBase);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->exports(elf)->size(), 2u);
}

TEST(TinyElf, SymbolsAreCountedByWhateverTellsTheirNumber) {
  TinyElf elf;
  elf.set_dynamic(DT_GNU_HASH, TinyElf::kHash);
  elf.rename_dynamic(DT_GNU_HASH, DT_HASH);
  const auto image = ElfImage::open(elf, TinyElf::kBase);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->exports(elf)->size(), 2u);
  elf.rename_dynamic(DT_HASH, DT_DEBUG);
  elf.set_dynamic(DT_RELA, TinyElf::kSymbols + 5 * sizeof(Elf64_Sym));
  EXPECT_EQ(image->exports(elf)->size(), 2u);
}

TEST(TinyElf, FunctionsOutsideTheImageAreNotItsExports) {
  TinyElf elf;
  elf.put(TinyElf::kSymbols + 2 * sizeof(Elf64_Sym) + 8, std::uint64_t{0x3000});
  const auto image = ElfImage::open(elf, TinyElf::kBase);
  ASSERT_TRUE(image);
  const auto exports = image->exports(elf);
  ASSERT_TRUE(exports);
  ASSERT_EQ(exports->size(), 1u);
  EXPECT_EQ(exports->front().name, "pick");
}

TEST(TinyElf, NamesHaveABoundInAll) {
  TinyElf elf;
  ElfLimits limits;
  const auto answer = [&](std::size_t bytes) {
    limits.max_all_names_bytes = bytes;
    return ElfImage::open(elf, TinyElf::kBase, limits)->exports(elf);
  };
  EXPECT_TRUE(answer(10));  // call, V1, pick
  ASSERT_FALSE(answer(9));
  EXPECT_EQ(answer(9).error().code, Errc::kBadImage);
}

bool is_honest_answer(Errc code) {
  return code == Errc::kBadImage || code == Errc::kFault || code == Errc::kNotFound ||
         code == Errc::kUnsupported;
}

void expect_sane(TinyElf& elf) {
  const auto image = ElfImage::open(elf, TinyElf::kBase);
  if (!image) {
    ASSERT_TRUE(is_honest_answer(image.error().code));
    return;
  }
  if (const auto exports = image->exports(elf)) {
    for (const ElfExport& e : *exports) ASSERT_TRUE(image->extent().contains(e.address));
  } else {
    ASSERT_TRUE(is_honest_answer(exports.error().code));
  }
  if (const auto slots = image->import_slots(elf)) {
    for (const ImportSlot& s : *slots) ASSERT_TRUE(image->extent().contains(s.slot));
  } else {
    ASSERT_TRUE(is_honest_answer(slots.error().code));
  }
  const auto soname = image->soname(elf);
  ASSERT_TRUE(soname || is_honest_answer(soname.error().code));
  const auto build_id = image->build_id(elf);
  ASSERT_TRUE(build_id || is_honest_answer(build_id.error().code));
}

TEST(TinyElf, SurvivesAnyChangedBytes) {
  constexpr std::uint32_t kTelling[] = {0, 1, 0xff, 0x1000, 0x2fff, 0x7fff'ffff, ~0U};
  std::mt19937 random(20240607);
  const std::pair<std::uint64_t, std::uint64_t> kParts[] = {{0, 0x400}, {0x1000, 0x1720}};
  for (int round = 0; round < 20000; ++round) {
    TinyElf elf;
    for (std::uint32_t changes = 1 + random() % 4; changes > 0; --changes) {
      const auto& [from, to] = kParts[random() % 2];
      const std::uint64_t at = from + random() % (to - from);
      if (random() % 2 == 0) {
        elf.put(at, static_cast<std::uint8_t>(random()));
      } else {
        elf.put(at & ~3ULL, kTelling[random() % std::size(kTelling)]);
      }
    }
    if (random() % 4 == 0) elf.lose_page(random() % 3);
    expect_sane(elf);
    if (testing::Test::HasFatalFailure()) FAIL() << "round " << round;
  }
}

TEST(TinyElf, SurvivesTruncation) {
  for (std::size_t size = 0; size < TinyElf::kBytes; size += 7) {
    TinyElf elf;
    elf.bytes().resize(size);
    expect_sane(elf);
    if (testing::Test::HasFatalFailure()) FAIL() << size << " bytes";
  }
}

}  // namespace
}  // namespace swat::symbols
