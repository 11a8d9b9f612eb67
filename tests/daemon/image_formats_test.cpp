// Images of every format come down to the same functions and slots.
#include <gtest/gtest.h>

#include "../symbols/tiny_elf.hpp"
#include "../symbols/tiny_pe.hpp"
#include "daemon/image.hpp"

namespace swat::daemon {
namespace {

using symbols::TinyElf;
using symbols::TinyPe;
using Runs = std::vector<std::pair<std::size_t, std::size_t>>;

template <class T>
std::vector<std::string> names_of(const std::vector<T>& all) {
  std::vector<std::string> names;
  for (const T& one : all) names.push_back(one.name);
  return names;
}

TEST(ImageFormats, AnElfImageIsReadAsOne) {
  TinyElf elf;
  const auto image = read_image(elf, TinyElf::kBase);
  ASSERT_TRUE(image) << image.error().what;
  EXPECT_EQ(names_of(image->exports), (std::vector<std::string>{"call", "pick"}));
  EXPECT_EQ(names_of(image->slots), (std::vector<std::string>{"need", "need", "pick"}));
  EXPECT_FALSE(image->imports_by_other_names);
}

TEST(ImageFormats, OfAPeImageFunctionsCountThatAreCodeOfItsOwn) {
  TinyPe pe;
  const auto image = read_image(pe, TinyPe::kBase);
  ASSERT_TRUE(image) << image.error().what;
  EXPECT_EQ(image->word_bytes, 8u);
  EXPECT_EQ(names_of(image->exports), std::vector<std::string>{"call"});
  EXPECT_EQ(image->exports.at(0).offset, TinyPe::kCode);
  EXPECT_TRUE(image->imports_by_other_names);
}

TEST(ImageFormats, OfAPeImageSlotsHaveNamesOrOrdinals) {
  TinyPe pe;
  const auto image = read_image(pe, TinyPe::kBase);
  ASSERT_TRUE(image) << image.error().what;
  EXPECT_EQ(names_of(image->slots), (std::vector<std::string>{"need", "#9", "late"}));
  EXPECT_EQ(image->slot_runs, (Runs{{0, 1}, {2, 2}}));
}

// The null word behind a library's slots is all that parts them from the next one's.
TEST(ImageFormats, OfAPeImageSlotsOfSeveralLibrariesAreOneRun) {
  TinyPe pe;
  pe.put(TinyPe::kImports + 20, TinyPe::kLookups);
  pe.put(TinyPe::kImports + 32, TinyPe::kImports + 0x40);
  pe.put(TinyPe::kImports + 36, TinyPe::kSlots + 24);
  const auto image = read_image(pe, TinyPe::kBase);
  ASSERT_TRUE(image) << image.error().what;
  EXPECT_EQ(names_of(image->slots),
            (std::vector<std::string>{"need", "#9", "", "need", "#9", "late"}));
  EXPECT_EQ(image->slot_runs, (Runs{{0, 4}, {5, 5}}));
}

TEST(ImageFormats, OtherBytesAreNoImageAndAbsentOnesMayBecomeOne) {
  TinyPe pe;
  pe.put_text(0, "ZM");
  EXPECT_EQ(read_image(pe, TinyPe::kBase).error().code, Errc::kBadImage);
  pe.lose_page(0);
  EXPECT_EQ(read_image(pe, TinyPe::kBase).error().code, Errc::kFault);
}

}  // namespace
}  // namespace swat::daemon
