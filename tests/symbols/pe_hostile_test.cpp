// Images that lie: every lie has its answer, none crashes or hangs, and no address is outside.
#include <gtest/gtest.h>

#include <random>

#include "symbols/pe_image.hpp"
#include "tiny_pe.hpp"

namespace swat::symbols {
namespace {

TEST(TinyPe, ReadsAsItWasWritten) {
  TinyPe pe;
  const auto image = PeImage::open(pe, TinyPe::kBase);
  ASSERT_TRUE(image) << image.error().what;
  EXPECT_TRUE(image->is_64_bit());
  EXPECT_EQ(image->time_stamp(), 0x1234'5678u);
  EXPECT_EQ(image->entry(), TinyPe::kBase + TinyPe::kCode);
  EXPECT_EQ(image->extent(), (VaRange{TinyPe::kBase, TinyPe::kBase + TinyPe::kBytes}));
  const auto exports = image->exports(pe);
  ASSERT_TRUE(exports) << exports.error().what;
  const Va datum = TinyPe::kBase + TinyPe::kTables + 0x500;
  EXPECT_EQ(*exports, (std::vector<PeExport>{{5, TinyPe::kBase + TinyPe::kCode, "call", "", true},
                                             {6, datum, "datum", "", false},
                                             {8, {}, "far", "other.far", false}}));
  const auto imports = image->imports(pe);
  ASSERT_TRUE(imports) << imports.error().what;
  const Va slots = TinyPe::kBase + TinyPe::kSlots;
  EXPECT_EQ(*imports, (std::vector<PeImport>{
                          {slots, "other.dll", "need"},
                          {slots + 8, "other.dll", "", 9},
                          {TinyPe::kBase + TinyPe::kDelayedSlots, "late.dll", "late", {}, true}}));
  EXPECT_EQ(image->export_name(pe), "tiny.dll");
  EXPECT_EQ(image->debug_id(pe), (PeDebugId{"00112233445566778899aabbccddeeff", 3, "tiny.pdb"}));
}

struct Lie {
  const char* what;
  std::uint32_t at;
  std::uint32_t value;
};

template <class Query>
Errc code_of(const Lie& lie, Query query) {
  TinyPe pe;
  pe.put(lie.at, lie.value);
  const auto image = PeImage::open(pe, TinyPe::kBase);
  if (!image) return image.error().code;
  const auto answer = query(*image, pe);
  EXPECT_FALSE(answer) << lie.what;
  return answer ? Errc::kUsage : answer.error().code;
}

TEST(TinyPe, IsABadImageWhenItsHeadersLie) {
  constexpr Lie kLies[] = {{"no MZ", 0, 0},
                           {"header far away", 60, 0x2'0000},
                           {"no PE", TinyPe::kHeader, 0},
                           {"sections without end", TinyPe::kHeader + 4, 0xffff'8664},
                           {"neither PE32 nor PE32+", TinyPe::kOptional, 0x107},
                           {"size 0", TinyPe::kOptional + 56, 0},
                           {"size of 4 GiB", TinyPe::kOptional + 56, ~0U}};
  for (const Lie& lie : kLies) {
    const auto open = [](const PeImage& image, TinyPe& pe) { return image.exports(pe); };
    EXPECT_EQ(code_of(lie, open), Errc::kBadImage) << lie.what;
  }
}

TEST(TinyPe, IsABadImageWhenItsExportsLie) {
  constexpr Lie kLies[] = {{"2^32 functions", TinyPe::kExports + 20, ~0U},
                           {"2^32 names", TinyPe::kExports + 24, ~0U},
                           {"functions outside", TinyPe::kExports + 28, TinyPe::kBytes},
                           {"names outside", TinyPe::kExports + 32, TinyPe::kBytes - 4},
                           {"index of no function", TinyPe::kIndexes, 7},
                           {"function outside", TinyPe::kFunctions, TinyPe::kBytes},
                           {"name outside", TinyPe::kNames, 0xffff'fff0}};
  for (const Lie& lie : kLies) {
    const auto exports = [](const PeImage& image, TinyPe& pe) { return image.exports(pe); };
    EXPECT_EQ(code_of(lie, exports), Errc::kBadImage) << lie.what;
  }
}

TEST(TinyPe, IsABadImageWhenItsImportsLie) {
  constexpr Lie kLies[] = {{"library outside", TinyPe::kImports + 12, TinyPe::kBytes},
                           {"slots outside", TinyPe::kImports + 16, TinyPe::kBytes - 4},
                           {"lookups outside", TinyPe::kImports, TinyPe::kBytes + 8},
                           {"name outside", TinyPe::kLookups, TinyPe::kBytes},
                           {"delayed by address", TinyPe::kDelayed, 0}};
  for (const Lie& lie : kLies) {
    const auto imports = [](const PeImage& image, TinyPe& pe) { return image.imports(pe); };
    EXPECT_EQ(code_of(lie, imports), Errc::kBadImage) << lie.what;
  }
}

TEST(TinyPe, HasNoMoreNamesThanItsLimitAllows) {
  TinyPe pe;
  const auto exports = [&](std::size_t bytes) {
    PeLimits limits;
    limits.max_all_names_bytes = bytes;
    return PeImage::open(pe, TinyPe::kBase, limits)->exports(pe);
  };
  ASSERT_TRUE(exports(21));  // call, datum, far, other.far
  ASSERT_FALSE(exports(20));
  EXPECT_EQ(exports(20).error().code, Errc::kBadImage);
}

// Many names may be of one forwarder: what they take in all is bounded, too.
TEST(TinyPe, CountsTheTextOfAForwarderForEachOfItsNames) {
  TinyPe pe;
  for (const std::uint32_t at : {0U, 2U, 4U}) pe.put(TinyPe::kIndexes + at, std::uint16_t{3});
  PeLimits limits;
  limits.max_all_names_bytes = 12 + 2 * 9;  // call, datum, far, and other.far twice
  const auto image = PeImage::open(pe, TinyPe::kBase, limits);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->exports(pe).error().code, Errc::kBadImage);
}

TEST(TinyPe, IsNo32BitImageAbove4GiB) {
  TinyPe pe;
  pe.put(TinyPe::kOptional, std::uint16_t{0x10b});
  EXPECT_EQ(PeImage::open(pe, TinyPe::kBase).error().code, Errc::kBadImage);
}

TEST(TinyPe, TellsTheDebugInformationOfOldLinkers) {
  TinyPe pe;
  pe.put_text(TinyPe::kRsds, "NB10");
  pe.put(TinyPe::kRsds + 8, std::uint32_t{0x3b7d'84a5});
  pe.put(TinyPe::kRsds + 12, std::uint32_t{2});
  pe.put_text(TinyPe::kRsds + 16, std::string_view("old.pdb", 8));
  EXPECT_EQ(PeImage::open(pe, TinyPe::kBase)->debug_id(pe), (PeDebugId{"3b7d84a5", 2, "old.pdb"}));
}

TEST(TinyPe, WithoutTablesHasNothingAndIsNoError) {
  TinyPe pe;
  pe.put(TinyPe::kOptional + 108, std::uint32_t{0});
  const auto image = PeImage::open(pe, TinyPe::kBase);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->exports(pe), std::vector<PeExport>{});
  EXPECT_EQ(image->imports(pe), std::vector<PeImport>{});
  EXPECT_EQ(image->export_name(pe).error().code, Errc::kNotFound);
  EXPECT_EQ(image->debug_id(pe).error().code, Errc::kNotFound);
}

bool is_honest_answer(Errc code) {
  return code == Errc::kBadImage || code == Errc::kFault || code == Errc::kNotFound;
}

template <class T>
void expect_honest(const Result<T>& answer) {
  ASSERT_TRUE(answer || is_honest_answer(answer.error().code));
}

void expect_sane(TinyPe& pe) {
  const auto image = PeImage::open(pe, TinyPe::kBase);
  expect_honest(image);
  if (!image) return;
  const auto exports = image->exports(pe);
  expect_honest(exports);
  if (exports) {
    for (const PeExport& e : *exports) {
      ASSERT_TRUE(e.is_forwarder() || image->extent().contains(e.address));
    }
  }
  const auto imports = image->imports(pe);
  expect_honest(imports);
  if (imports) {
    for (const PeImport& i : *imports) ASSERT_TRUE(image->extent().contains(i.slot));
  }
  expect_honest(image->export_name(pe));
  expect_honest(image->debug_id(pe));
}

TEST(TinyPe, SurvivesAnyChangedBytes) {
  constexpr std::uint32_t kTelling[] = {0, 1, 0xff, 0x1000, 0x2fff, 0x7fff'ffff, ~0U};
  std::mt19937 random(20261130);
  const std::pair<std::uint32_t, std::uint32_t> kParts[] = {{0, 0x200}, {0x2000, 0x2480}};
  for (int round = 0; round < 20000; ++round) {
    TinyPe pe;
    for (std::size_t changes = 1 + random() % 4; changes > 0; --changes) {
      const auto& [from, to] = kParts[random() % 2];
      const auto at = static_cast<std::uint32_t>(from + random() % (to - from));
      if (random() % 2 == 0) {
        pe.put(at, static_cast<std::uint8_t>(random()));
      } else {
        pe.put(at & ~3U, kTelling[random() % std::size(kTelling)]);
      }
    }
    if (random() % 4 == 0) pe.lose_page(random() % 3);
    expect_sane(pe);
    if (testing::Test::HasFatalFailure()) FAIL() << "round " << round;
  }
}

TEST(TinyPe, SurvivesTruncation) {
  for (std::size_t size = 0; size < TinyPe::kBytes; size += 7) {
    TinyPe pe;
    pe.bytes().resize(size);
    expect_sane(pe);
    if (testing::Test::HasFatalFailure()) FAIL() << size << " bytes";
  }
}

}  // namespace
}  // namespace swat::symbols
