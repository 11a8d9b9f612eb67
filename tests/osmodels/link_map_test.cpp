#include "osmodels/linux/link_map.hpp"

#include <gtest/gtest.h>

#include "mapped_pages.hpp"
#include "tests/symbols/tiny_elf.hpp"

namespace swat::os {
namespace {

using symbols::TinyElf;

constexpr Va kBase = TinyElf::kBase;
constexpr Va kHeap{0x555600000000};
constexpr Va kDebug = kHeap;
constexpr Va kProgram = kHeap + 0x100;  // its link_map
constexpr Va kLibrary = kHeap + 0x200;
constexpr Va kName = kHeap + 0x300;

// A program, and what ld.so has told of it and of one library.
struct Debugged : test::MappedPages {
  Debugged() {
    elf.rename_dynamic(DT_SONAME, DT_DEBUG);
    elf.set_dynamic(DT_DEBUG, kDebug.value);
    for (std::uint64_t page = 0; page < TinyElf::kBytes; page += kPage) map(kBase + page, true);
    put(kBase, elf.bytes());
    map(kHeap);
    put_words(kDebug, {1, kProgram.value});
    put_words(kProgram,
              {0, (kName + 0x80).value, (kBase + TinyElf::kDynamic).value, kLibrary.value, 0});
    put_words(kLibrary, {0x7f0000000000, kName.value, 0x7f0000003d00, 0, kProgram.value});
    put_text(kName, std::string_view("/lib/libc.so.6\0", 15));
  }
  void put_words(Va at, std::vector<std::uint64_t> words) {
    put(at, std::as_bytes(std::span(words)));
  }
  LinkMap read() {
    const auto program = symbols::ElfImage::open(*this, kBase);
    EXPECT_TRUE(program);
    return read_link_map(*this, *program);
  }

  TinyElf elf;
};

TEST(LinkMap, NamesWhatLdSoHasLoaded) {
  Debugged program;
  EXPECT_EQ(program.read(), (LinkMap{{Va{0x7f0000003d00}, "/lib/libc.so.6"}}));
}

TEST(LinkMap, IsEmptyBeforeLdSoHasMadeIt) {
  Debugged program;
  program.put_words(kDebug, {0, 0});
  EXPECT_TRUE(program.read().empty());
}

// Hostile.
TEST(LinkMap, EndsWhereTheListDoesNot) {
  Debugged program;
  program.put_words(kLibrary + 24, {kProgram.value});
  EXPECT_EQ(program.read().size(), 1u);
}

TEST(LinkMap, EndsWhereTheListLeadsNowhere) {
  Debugged program;
  program.put_words(kProgram + 24, {0x1000});
  EXPECT_TRUE(program.read().empty());
}

}  // namespace
}  // namespace swat::os
