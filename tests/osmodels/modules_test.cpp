#include <gtest/gtest.h>

#include <array>

#include "osmodels/model.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kLibc = 7;

Mapping of_file(std::uint64_t start, std::uint64_t size, std::uint64_t offset, const char* rights,
                const char* path, std::uint64_t file_id) {
  Mapping mapping;
  mapping.range = {Va{start}, Va{start + size}};
  mapping.file_offset = offset;
  mapping.path = path;
  mapping.readable = rights[0] == 'r';
  mapping.writable = rights[1] == 'w';
  mapping.executable = rights[2] == 'x';
  mapping.file_id = file_id;
  return mapping;
}

Mapping anonymous(std::uint64_t start, std::uint64_t size, const char* path = "") {
  return of_file(start, size, 0, "rw-", path, 0);
}

// As /proc/PID/maps has one of Debian 12's.
std::vector<Mapping> libc_at(std::uint64_t base) {
  return {of_file(base, 0x26000, 0, "r--", "/lib/libc.so.6", kLibc),
          of_file(base + 0x26000, 0x155000, 0x26000, "r-x", "/lib/libc.so.6", kLibc),
          of_file(base + 0x17b000, 0x53000, 0x17b000, "r--", "/lib/libc.so.6", kLibc),
          of_file(base + 0x1ce000, 0x4000, 0x1ce000, "r--", "/lib/libc.so.6", kLibc),
          of_file(base + 0x1d2000, 0x2000, 0x1d2000, "rw-", "/lib/libc.so.6", kLibc),
          anonymous(base + 0x1d4000, 0xd000)};
}

TEST(ModulesOf, JoinsTheMappingsOfOneImage) {
  const auto modules = modules_of(libc_at(0x7f0000000000));
  ASSERT_EQ(modules.size(), 1u);
  EXPECT_EQ(modules[0].base, Va{0x7f0000000000});
  EXPECT_EQ(modules[0].range, (VaRange{Va{0x7f0000000000}, Va{0x7f00001d4000}}));
  EXPECT_EQ(modules[0].name(), "libc.so.6");
}

TEST(ModulesOf, KeepsTwoCopiesOfAnImageApart) {
  std::vector<Mapping> mappings = libc_at(0x7f0000000000);
  for (Mapping& mapping : libc_at(0x7f0000200000)) mappings.push_back(std::move(mapping));
  const auto modules = modules_of(mappings);
  ASSERT_EQ(modules.size(), 2u);
  EXPECT_EQ(modules[1].base, Va{0x7f0000200000});
}

TEST(ModulesOf, TakesTheDataOfASmallFileForPartOfIt) {
  const auto modules = modules_of({of_file(0x400000, 0x1000, 0, "r-x", "/bin/tiny", 3),
                                   of_file(0x401000, 0x1000, 0, "r--", "/bin/tiny", 3),
                                   of_file(0x600000, 0x1000, 0, "rw-", "/bin/tiny", 3)});
  ASSERT_EQ(modules.size(), 1u);
  EXPECT_EQ(modules[0].range.end, Va{0x601000});
}

// Small programs of ARM, whose code is at offset 0, too: their data begins within the first page.
// Linux 2.6.32 on ARMv5, where reading implies executing, has all of them executable.
TEST(ModulesOf, TakesDataThatBeginsInTheFirstPageForPartOfIt) {
  constexpr std::array<std::array<const char*, 3>, 2> kRights{
      {{"r-x", "r--", "rw-"}, {"r-x", "r-x", "rwx"}}};
  for (const auto& [code, relro, data] : kRights) {
    const auto modules = modules_of({of_file(0x402000, 0x1000, 0, code, "/bin/tiny", 3),
                                     of_file(0x403000, 0x1000, 0, relro, "/bin/tiny", 3),
                                     of_file(0x404000, 0x1000, 0x1000, data, "/bin/tiny", 3)});
    ASSERT_EQ(modules.size(), 1u) << relro;
    EXPECT_EQ(modules[0].range.end, Va{0x405000});
  }
}

TEST(ModulesOf, KeepsTwoCopiesOfAnImageApartWhereAllIsExecutable) {
  const auto modules = modules_of({of_file(0x40000000, 0x1000, 0, "r-x", "/lib/x", 4),
                                   of_file(0x40001000, 0x1000, 0x1000, "rwx", "/lib/x", 4),
                                   of_file(0x40002000, 0x1000, 0, "r-x", "/lib/x", 4),
                                   of_file(0x40003000, 0x1000, 0x1000, "rwx", "/lib/x", 4)});
  ASSERT_EQ(modules.size(), 2u);
  EXPECT_EQ(modules[1].base, Va{0x40002000});
}

// A program maps the start of a library executable by itself, right below ld.so's copy.
TEST(ModulesOf, TellsALibraryFromAnotherMappingOfItsStartBelowIt) {
  const auto modules = modules_of({of_file(0x7f0000000000, 0x1000, 0, "r-x", "/lib/x", 4),
                                   of_file(0x7f0000001000, 0x1000, 0, "r--", "/lib/x", 4),
                                   of_file(0x7f0000002000, 0x1000, 0x1000, "r-x", "/lib/x", 4)});
  ASSERT_EQ(modules.size(), 2u);
  EXPECT_EQ(modules[1].base, Va{0x7f0000001000});
}

TEST(ModulesOf, LeavesOutFilesThatAreOnlyData) {
  EXPECT_TRUE(modules_of({of_file(0x7f0000000000, 0x3000, 0, "r--", "/usr/share/x", 4)}).empty());
}

TEST(ModulesOf, LeavesOutImagesWhoseStartIsNotMapped) {
  EXPECT_TRUE(modules_of({of_file(0x7f0000000000, 0x3000, 0x1000, "r-x", "/lib/x", 4)}).empty());
}

TEST(ModulesOf, TellsFilesOfOneNameApart) {
  const auto modules = modules_of({of_file(0x400000, 0x1000, 0, "r-x", "/tmp/x", 4),
                                   of_file(0x401000, 0x1000, 0, "r-x", "/tmp/x", 5)});
  EXPECT_EQ(modules.size(), 2u);
}

TEST(ModulesOf, CountsTheVdsoButNotOtherNamedMemory) {
  Mapping vdso = of_file(0x7fff00000000, 0x2000, 0, "r-x", "[vdso]", 0);
  const auto modules = modules_of({anonymous(0x10000, 0x1000, "[heap]"), vdso});
  ASSERT_EQ(modules.size(), 1u);
  EXPECT_EQ(modules[0].path, "[vdso]");
}

TEST(OsProbes, TryFirstWhatIsToldQuickest) {
  ASSERT_FALSE(os_probes().empty());
  EXPECT_EQ(os_probes().front().name, "windows");
  EXPECT_EQ(os_probes().back().name, "linux");
}

}  // namespace
}  // namespace swat::os
