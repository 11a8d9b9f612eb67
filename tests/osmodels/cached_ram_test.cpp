#include "osmodels/cached_ram.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "memory_fakes.hpp"

namespace swat::os {
namespace {

constexpr std::size_t kRamBytes = 8 * 4096;

struct Cached {
  Cached() {
    for (std::uint64_t at = 0; at < kRamBytes; at += 8) ram.store(at, at);
  }
  std::uint64_t word(std::uint64_t at) {
    const auto value = read_as<std::uint64_t>(cached, Pa{at});
    EXPECT_TRUE(value) << value.error().what;
    return value.value_or(~std::uint64_t{0});
  }
  // The first reads are too few to be worth a page.
  void read_much() {
    for (std::uint64_t at = 0; at < 4096; at += 8) EXPECT_EQ(word(at), at);
  }

  test::ArrayRam ram{kRamBytes};
  CachedRam cached{ram};
};

TEST(CachedRam, ReadsAPageOnceThatIsLookedAtFromManySides) {
  Cached c;
  c.read_much();
  EXPECT_LT(c.ram.reads, 20U);
  const auto before = c.ram.reads;
  c.read_much();
  EXPECT_EQ(c.ram.reads, before);
}

TEST(CachedRam, KeepsNothingOfAFewReads) {
  Cached c;
  EXPECT_EQ(c.word(0x10), 0x10U);
  c.ram.store<std::uint64_t>(0x10, 1);
  EXPECT_EQ(c.word(0x10), 1U);
}

TEST(CachedRam, ReadsAnewWhatItWasToForget) {
  Cached c;
  c.read_much();
  c.ram.store<std::uint64_t>(0x10, 1);
  EXPECT_EQ(c.word(0x10), 0x10U);
  c.cached.forget();
  EXPECT_EQ(c.word(0x10), 1U);
  const auto before = c.ram.reads;
  EXPECT_EQ(c.word(0x18), 0x18U);
  EXPECT_EQ(c.ram.reads, before + 1) << "few reads again";
}

TEST(CachedRam, PassesOnWhatCrossesAPageOrIsABatch) {
  Cached c;
  c.read_much();
  c.ram.store<std::uint32_t>(0xffc, 1);
  c.ram.store<std::uint32_t>(0x1000, 2);
  EXPECT_EQ(c.word(0xffc), 0x2'0000'0001U);
  std::uint64_t word = 0;
  const PhysicalMemory::Piece piece{Pa{0xff8}, std::as_writable_bytes(std::span(&word, 1))};
  ASSERT_TRUE(c.cached.read_batch({&piece, 1}));
  EXPECT_EQ(word, 0x1'0000'0ff8U);
}

TEST(CachedRam, KeepsNoPageThatIsReadWhole) {
  Cached c;
  c.read_much();
  std::vector<std::byte> page(4096);
  ASSERT_TRUE(c.cached.read(Pa{4096}, page));
  c.ram.store<std::uint64_t>(4096, 1);
  ASSERT_TRUE(c.cached.read(Pa{4096}, page));
  EXPECT_EQ(page.front(), std::byte{1});
}

TEST(CachedRam, SaysWhichAddressIsNoRam) {
  Cached c;
  c.read_much();
  const auto beyond = read_as<std::uint64_t>(c.cached, Pa{kRamBytes + 8});
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, Errc::kFault);
  EXPECT_EQ(beyond.error().guest, kRamBytes + 8);
}

}  // namespace
}  // namespace swat::os
