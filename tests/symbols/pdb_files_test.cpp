// PDB files of lld-link: members are where clang has put them, and the file is its image's.
#include <gtest/gtest.h>

#include "file_bytes.hpp"
#include "pe_reference.hpp"
#include "symbols/msf_file.hpp"
#include "symbols/pdb_file.hpp"
#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

struct SampleRow {
  std::string_view path;
  std::uint32_t x64;
  std::uint32_t x86;
};
constexpr SampleRow kMembers[] = {
#define MEMBER(structure, path, x64, x86) {#structure "." #path, x64, x86},
#include "pdb_samples/members.inc"
#undef MEMBER
};

std::string sample(std::string_view name) { return SWAT_PDB_SAMPLES "/" + std::string(name); }

Result<MemberProfile> read(std::string_view name, MemberNames wanted) {
  return read_pdb(bytes_of(sample(name)), wanted);
}

using Offsets = std::map<std::string, std::uint32_t, std::less<>>;

void expect_members(std::string_view name, std::uint32_t SampleRow::*of_machine) {
  std::vector<std::string_view> wanted;
  Offsets expected;
  for (const SampleRow& row : kMembers) {
    wanted.push_back(row.path);
    expected.emplace(row.path, row.*of_machine);
  }
  const auto profile = read(name, wanted);
  ASSERT_TRUE(profile) << profile.error().what;
  EXPECT_EQ(profile->offsets, expected);
}

TEST(PdbFile, HasMembersWhereClangHasPutThem) {
  expect_members("x86_64-sample.pdb", &SampleRow::x64);
  expect_members("i686-sample.pdb", &SampleRow::x86);
}

TEST(PdbFile, HasMembersAmongAllThatClassesHave) {
  constexpr std::string_view kWanted[] = {"Derived.last", "Derived.within.there", "Derived.missing",
                                          "Base.base"};
  // As llvm-pdbutil has them, too: the table of virtual functions, Base.base, padding.
  const auto wide = read("x86_64-classes.pdb", kWanted);
  ASSERT_TRUE(wide) << wide.error().what;
  EXPECT_EQ(wide->offsets,
            (Offsets{{"Base.base", 8}, {"Derived.last", 20}, {"Derived.within.there", 16}}));
  const auto narrow = read("i686-classes.pdb", kWanted);
  ASSERT_TRUE(narrow) << narrow.error().what;
  EXPECT_EQ(narrow->offsets,
            (Offsets{{"Base.base", 4}, {"Derived.last", 12}, {"Derived.within.there", 8}}));
}

TEST(PdbFile, LeavesOutWhatItHasNot) {
  constexpr std::string_view kWanted[] = {
      "_EPROCESS.Peb",           "_KPROCESS.Header", "_KPCR.Self.Prcb", "_EPROCESS.Last.Member",
      "_EPROCESS.Pcb.Low",       "_EPROCESS",        "_EPROCESS.",      "",
      "_KPCR.Prcb.CurrentThread"};
  const auto profile = read("x86_64-sample.pdb", kWanted);
  ASSERT_TRUE(profile) << profile.error().what;
  EXPECT_EQ(profile->offsets, (Offsets{{"_KPCR.Prcb.CurrentThread", 0x188}}));
}

// In the file the GUID's numbers have their lowest byte first.
std::string as_servers_write_it(std::string_view bytes) {
  constexpr std::size_t kOrder[] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
  std::string text;
  for (const std::size_t i : kOrder) text += bytes.substr(2 * i, 2);
  return text;
}

TEST(PdbFile, IsOfTheImageThatTheLinkerHasMadeWithIt) {
  for (const std::string stem : {"x86_64-sample", "i686-sample"}) {
    const auto image = read_with_llvm(sample(stem + ".dll"));
    ASSERT_TRUE(image);
    const auto profile = read(stem + ".pdb", {});
    ASSERT_TRUE(profile) << profile.error().what;
    EXPECT_EQ(profile->id.guid, as_servers_write_it(image->guid));
    EXPECT_EQ(profile->id.age, image->age);
    EXPECT_EQ(profile->machine, image->machine);
  }
}

TEST(MsfFile, HasStreamsOfTheirSizes) {
  const auto bytes = bytes_of(sample("x86_64-sample.pdb"));
  const auto msf = MsfFile::open(bytes);
  ASSERT_TRUE(msf) << msf.error().what;
  ASSERT_GT(msf->stream_count(), 3u);
  const auto types = msf->stream(2);
  ASSERT_TRUE(types);
  EXPECT_EQ(types->size(), 56 + *load<std::uint32_t>(*types, 16));  // its header's, and the rest
  EXPECT_EQ(msf->stream(msf->stream_count()).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace swat::symbols
