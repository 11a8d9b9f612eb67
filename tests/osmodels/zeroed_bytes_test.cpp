#include "osmodels/linux/zeroed_bytes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace swat::os {
namespace {

TEST(ZeroedBytes, AreZeroUntilTheyAreWritten) {
  constexpr std::size_t kSize = (4 << 20) + 123;
  ZeroedBytes bytes(kSize);
  ASSERT_EQ(bytes.all().size(), kSize);
  EXPECT_EQ(std::ranges::count(bytes.all(), std::byte{0}), static_cast<std::ptrdiff_t>(kSize));
  bytes.all().back() = std::byte{7};
  EXPECT_EQ(std::as_const(bytes).all().back(), std::byte{7});
}

TEST(ZeroedBytes, GoWithTheirOwner) {
  ZeroedBytes first(5000);
  first.all()[1] = std::byte{1};
  const ZeroedBytes second = std::move(first);
  EXPECT_EQ(second.all()[1], std::byte{1});
  EXPECT_EQ(first.size(), 0u);  // NOLINT(bugprone-use-after-move): which is what is asked
  EXPECT_TRUE(ZeroedBytes().all().empty());
  EXPECT_TRUE(ZeroedBytes(0).all().empty());
}

}  // namespace
}  // namespace swat::os
