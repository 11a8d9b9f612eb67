#include "daemon/entry_points.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace swat::daemon {
namespace {

TEST(EntryPoints, HasWhatItWasGivenAndNothingElse) {
  std::mt19937_64 random(1);
  for (const std::size_t count : {0, 1, 2, 50, 5000}) {
    std::set<std::uint64_t> truth;
    for (std::size_t i = 0; i < count; ++i) truth.insert(random() % 200000 & ~std::uint64_t{3});
    const EntryPoints entries({truth.begin(), truth.end()});
    EXPECT_EQ(entries.size(), truth.size());
    for (std::uint64_t offset = 0; offset < 200000; ++offset) {
      ASSERT_EQ(entries.contains(offset), truth.contains(offset)) << offset << " of " << count;
    }
  }
}

TEST(EntryPoints, TakesAnyOrderAndTheSameTwice) {
  const EntryPoints entries({0x30, 0x10, 0x30, ~std::uint64_t{0}, 0});
  EXPECT_EQ(entries.size(), 4u);
  EXPECT_TRUE(entries.contains(0));
  EXPECT_TRUE(entries.contains(~std::uint64_t{0}));
  EXPECT_EQ(entries.after(0), 0x10u);
  EXPECT_EQ(entries.after(0x10), 0x30u);
  EXPECT_EQ(entries.after(0x31), ~std::uint64_t{0});
  EXPECT_EQ(EntryPoints({}).after(0), ~std::uint64_t{0});
}

}  // namespace
}  // namespace swat::daemon
