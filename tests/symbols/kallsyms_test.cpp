#include "symbols/kallsyms.hpp"

#include <gtest/gtest.h>

#include <random>

#include "kallsyms_builder.hpp"

namespace swat::symbols::test {
namespace {

void expect_same(const SymbolTable& found, const std::vector<Symbol>& expected) {
  ASSERT_EQ(found.all().size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(found.all()[i].name, expected[i].name) << i;
    ASSERT_EQ(found.all()[i].type, expected[i].type) << i;
    ASSERT_EQ(found.all()[i].address, expected[i].address) << i << " " << expected[i].name;
  }
}

class EveryEra : public testing::TestWithParam<Era> {};

INSTANTIATE_TEST_SUITE_P(Kallsyms, EveryEra, testing::ValuesIn(all_eras()),
                         [](const auto& era) { return std::string(era.param.name); });

// Counts on both sides of a marker, and every remainder that alignment can leave.
TEST_P(EveryEra, IsReadBackWhole) {
  for (const std::size_t count : {1000, 1001, 1002, 1003, 1023, 1024, 1025, 1500}) {
    const BuiltKernel kernel = build_kernel(GetParam(), {.symbols = count});
    const auto found = find_kallsyms(kernel.image());
    ASSERT_TRUE(found) << found.error().what << " with " << count;
    expect_same(*found, kernel.symbols);
  }
}

// Without KALLSYMS_ALL nothing in the image confirms the addresses.
TEST_P(EveryEra, IsReadBackWithoutDataSymbols) {
  for (const std::size_t count : {1000, 1001, 1002, 1003}) {
    const BuiltKernel kernel =
        build_kernel(GetParam(), {.symbols = count, .with_data_symbols = false});
    const auto found = find_kallsyms(kernel.image());
    ASSERT_TRUE(found) << found.error().what << " with " << count;
    expect_same(*found, kernel.symbols);
  }
}

// A reading that misplaces a string we can look at is not believed.
TEST_P(EveryEra, IsRejectedWhenTheBannerIsElsewhere) {
  const auto found = find_kallsyms(build_kernel(GetParam(), {.banner_error = 4}).image());
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::kBadImage);
}

TEST_P(EveryEra, SurvivesBeingCutAnywhere) {
  const BuiltKernel kernel = build_kernel(GetParam(), {.symbols = 700, .symbol_spacing = 4});
  const std::size_t step = 1 + (kernel.bytes.size() - kernel.table_begin) / 97;
  for (std::size_t size = kernel.table_begin; size < kernel.bytes.size(); size += step) {
    // A vector of its own, so that the sanitizer sees a read past its end.
    const std::vector<std::byte> cut(kernel.bytes.begin(),
                                     kernel.bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const auto found = find_kallsyms({kernel.base, cut, kernel.era.pointer_bytes});
    if (found) expect_same(*found, kernel.symbols);
  }
}

TEST_P(EveryEra, SurvivesFlippedBytes) {
  const BuiltKernel good = build_kernel(GetParam(), {.symbols = 700, .symbol_spacing = 4});
  std::mt19937 random(99);
  for (int round = 0; round < 60; ++round) {
    BuiltKernel bad = good;
    for (int i = 0; i < 3; ++i) {
      const std::size_t at = bad.table_begin + random() % (bad.bytes.size() - bad.table_begin);
      bad.bytes[at] ^= static_cast<std::byte>(1 + random() % 255);
    }
    const auto found = find_kallsyms(bad.image());
    if (found) {
      EXPECT_EQ(found->all().size(), good.symbols.size());
    }
  }
}

class StemEra : public testing::TestWithParam<Era> {};

INSTANTIATE_TEST_SUITE_P(
    Kallsyms, StemEra,
    testing::Values(Era{"i386_2_6_0", 4, Addresses::kAbsolute, false, 4, 4, Seqs::kNone, false},
                    Era{"arm_2_6_0", 4, Addresses::kAbsolute, false, 16, 4, Seqs::kNone, false},
                    Era{"x86_64_2_6_9", 8, Addresses::kAbsolute, false, 8, 8, Seqs::kNone, false}),
    [](const auto& era) { return std::string(era.param.name); });

TEST_P(StemEra, IsReadBackWhole) {
  for (const std::size_t count : {1000, 1001, 1002, 1003}) {
    const BuiltKernel kernel =
        build_stem_kernel(GetParam(), {.symbols = count, .with_data_symbols = false});
    const auto found = find_kallsyms(kernel.image());
    ASSERT_TRUE(found) << found.error().what << " with " << count;
    expect_same(*found, kernel.symbols);
  }
}

TEST(Kallsyms, IsNotFoundInNothingZerosAndNoise) {
  std::vector<std::byte> bytes;
  EXPECT_EQ(find_kallsyms({Va{0xc0000000}, bytes, 4}).error().code, Errc::kNotFound);
  bytes.assign(1 << 20, std::byte{0});
  EXPECT_EQ(find_kallsyms({Va{0xc0000000}, bytes, 4}).error().code, Errc::kNotFound);
  std::mt19937 random(1);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  EXPECT_EQ(find_kallsyms({Va{0xffffffff81000000}, bytes, 8}).error().code, Errc::kNotFound);
}

// The second of two copies is whole: memory can hold a stale one.
TEST(Kallsyms, PassesOverADamagedCopy) {
  const BuiltKernel kernel = build_kernel(all_eras().front(), {});
  const std::size_t table = kernel.bytes.size() - kernel.table_begin;
  std::vector<std::byte> bytes(kernel.bytes.end() - static_cast<std::ptrdiff_t>(table),
                               kernel.bytes.end());
  std::fill_n(bytes.begin(), table / 2, std::byte{0});
  bytes.resize((bytes.size() + 4095) / 4096 * 4096);
  const Va base = kernel.base - bytes.size();
  bytes.insert(bytes.end(), kernel.bytes.begin(), kernel.bytes.end());
  const auto found = find_kallsyms({base, bytes, 8});
  ASSERT_TRUE(found) << found.error().what;
  expect_same(*found, kernel.symbols);
}

TEST(SymbolTable, FindsTheFirstOfSeveralAndSurvivesCopies) {
  SymbolTable copy;
  {
    const SymbolTable table({{Va{1}, 't', "init"}, {Va{2}, 't', "init"}, {Va{3}, 'T', "printk"}});
    copy = table;
  }
  const SymbolTable moved = std::move(copy);
  EXPECT_EQ(moved.find("init"), Va{1});
  EXPECT_EQ(moved.find_any({"_printk", "printk"}), Va{3});
  EXPECT_EQ(moved.find("_printk"), std::nullopt);
  EXPECT_EQ(moved.all().size(), 3u);
}

}  // namespace
}  // namespace swat::symbols::test
