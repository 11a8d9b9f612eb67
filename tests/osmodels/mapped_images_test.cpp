#include "osmodels/linux/mapped_images.hpp"

#include <gtest/gtest.h>

#include "mapped_pages.hpp"
#include "tests/symbols/tiny_elf.hpp"

namespace swat::os {
namespace {

using symbols::TinyElf;

constexpr Va kBase{0x7f1200000000};
constexpr std::uint64_t kPage = test::MappedPages::kPage;

// A process that has mapped libtiny.so, and touched these of its pages.
using Pages = std::vector<std::uint64_t>;  // numbers

struct Space : test::MappedPages {
  Space() : Space({0, 1, 2}) {}
  explicit Space(const Pages& touched) {
    for (const std::uint64_t page : touched) touch(page);
  }
  void touch(std::uint64_t page, bool executable = true) {
    const Va at = kBase + page * kPage;
    map(at, executable);
    put(at, std::span(elf.bytes()).subspan(page * kPage, kPage));
  }
  std::vector<ImageRef> look(const std::vector<ImageRef>& others = {}) {
    EXPECT_TRUE(images.look(ram, *this, pages, others));
    return images.all();
  }

  TinyElf elf;
  MappedImages images;
};

TEST(MappedImages, FindsAnImageByTheHeaderInItsFirstPage) {
  Space space;
  space.map(kBase + 0x100000);  // something else
  const auto found = space.look();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0]->base, kBase);
  EXPECT_EQ(found[0]->extent, (VaRange{kBase, kBase + TinyElf::kBytes}));
  EXPECT_EQ(found[0]->soname, "libtiny.so");
  EXPECT_FALSE(found[0]->is_program);
  EXPECT_NE(found[0]->identity, 0u);
}

// Its name is in a page of its own.
TEST(MappedImages, WaitsForThePagesThatTellWhatItIs) {
  Space space(Pages{0, 2});
  EXPECT_TRUE(space.look().empty());
  space.touch(1);
  EXPECT_EQ(space.look().size(), 1u);
}

TEST(MappedImages, AFileThatIsMappedToBeLookedAtIsNoImage) {
  Space space(Pages{});
  space.elf.rename_dynamic(DT_STRTAB, DT_DEBUG);  // something else than PT_DYNAMIC is there
  for (const std::uint64_t page : {0, 1, 2}) space.touch(page, false);
  EXPECT_TRUE(space.look().empty());
}

TEST(MappedImages, IsGoneWithItsPages) {
  Space space;
  ASSERT_EQ(space.look().size(), 1u);
  space.pages.clear();
  EXPECT_TRUE(space.look().empty());
}

TEST(MappedImages, OfAForkedChildIsKnownByAPageThatItShares) {
  Space parent;
  const auto parents = parent.look();
  Space child(Pages{});
  child.map(kBase + 2 * kPage, true, parent.pages.at(kBase + 2 * kPage).at);
  const auto found = child.look(parents);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0]->soname, "libtiny.so");
  EXPECT_EQ(found[0]->identity, parents[0]->identity);
}

TEST(MappedImages, WhatIsElsewhereInMemoryIsNotShared) {
  Space parent;
  const auto parents = parent.look();
  Space stranger(Pages{});
  stranger.map(kBase + 2 * kPage, true, Pa{0xf0000});
  EXPECT_TRUE(stranger.look(parents).empty());
}

// Hostile: a header in every page.
TEST(MappedImages, DoNotOverlap) {
  Space space;
  for (const std::uint64_t page : {1, 2}) {
    space.put(kBase + page * kPage, std::span(space.elf.bytes()).first(0x200));
  }
  const auto found = space.look();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0]->base, kBase);
}

}  // namespace
}  // namespace swat::os
