#include "daemon/page_table_updates.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace swat::daemon {
namespace {

constexpr Pa kA{0x2a12000};
constexpr Pa kB{0x2904000};

std::optional<Pa> settled(PageTableUpdates& updates, std::optional<std::uint32_t> claim) {
  for (const auto& [id, root] : updates.take_settled()) {
    if (claim == id) return root;
  }
  return {};
}

TEST(PageTableUpdates, TheOnlyUpdateIsOfWhoClaimsIt) {
  PageTableUpdates updates;
  updates.update(kA, 10);
  const auto claim = updates.claim(9);
  ASSERT_TRUE(claim);
  EXPECT_EQ(settled(updates, claim), kA);
  EXPECT_FALSE(updates.claim(9));  // it is taken
}

TEST(PageTableUpdates, NobodyClaimsWhatWasBeforeItsLastLine) {
  PageTableUpdates updates;
  updates.update(kA, 10);
  EXPECT_TRUE(updates.has_open_since(9));
  EXPECT_FALSE(updates.has_open_since(10));
  EXPECT_FALSE(updates.claim(11));
}

TEST(PageTableUpdates, OneThatCanOnlyHaveMadeOneSettlesTheOther) {
  PageTableUpdates updates;
  updates.update(kA, 10);
  updates.update(kB, 20);
  const auto first = updates.claim(5);  // either
  EXPECT_TRUE(updates.take_settled().empty());
  EXPECT_EQ(updates.candidates(*first), (std::vector{kA, kB}));
  const auto second = updates.claim(15);  // had a line between the two
  const auto found = updates.take_settled();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].claim, *second);
  EXPECT_EQ(found[0].root, kB);
  EXPECT_EQ(found[1].claim, *first);
  EXPECT_EQ(found[1].root, kA);
}

TEST(PageTableUpdates, WhatIsKnownOfOneSettlesTheOther) {
  PageTableUpdates updates;
  updates.update(kA, 10);
  updates.update(kB, 11);
  const auto first = updates.claim(5);
  const auto second = updates.claim(6);
  EXPECT_TRUE(updates.take_settled().empty());
  updates.settle(*first, kB);
  const auto found = updates.take_settled();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1].claim, *second);
  EXPECT_EQ(found[1].root, kA);
  EXPECT_TRUE(updates.candidates(*first).empty());
}

TEST(PageTableUpdates, TwoToTheSamePageTableAreAlike) {
  PageTableUpdates updates;
  updates.update(kA, 10);
  updates.update(kA, 11);
  EXPECT_EQ(settled(updates, updates.claim(5)), kA);
  EXPECT_EQ(settled(updates, updates.claim(6)), kA);
}

TEST(PageTableUpdates, NobodyIsToldWhatItCannotBe) {
  PageTableUpdates updates;
  updates.update(kA, 10);
  updates.update(kB, 11);
  const auto claim = updates.claim(5);
  updates.settle(*claim, Pa{0x7000});
  EXPECT_EQ(updates.candidates(*claim).size(), 2u);
  updates.give_up(*claim);
  EXPECT_TRUE(updates.candidates(*claim).empty());
  EXPECT_TRUE(updates.take_settled().empty());
}

TEST(PageTableUpdates, RemembersNoMoreThanALimit) {
  PageTableUpdates updates;
  for (std::uint64_t line = 1; line < 10'000; ++line) {
    updates.update(Pa{line * 0x1000}, line);
    if (line % 3 == 0) (void)updates.claim(0);
  }
  const auto claim = updates.claim(0);
  ASSERT_TRUE(claim);
  EXPECT_LE(updates.candidates(*claim).size(), PageTableUpdates::kMaxOpen);
}

TEST(PageTableUpdates, KnowsTheEndsOfWrites) {
  PageTableUpdates updates;
  EXPECT_FALSE(updates.is_end_of_write(Va{1}));
  updates.set_ends_of_writes({Va{30}, Va{10}, Va{20}});
  EXPECT_TRUE(updates.is_end_of_write(Va{20}));
  EXPECT_FALSE(updates.is_end_of_write(Va{21}));
}

}  // namespace
}  // namespace swat::daemon
