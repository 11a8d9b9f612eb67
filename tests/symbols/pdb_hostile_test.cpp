// PDB files that lie: every lie has its answer, none crashes or hangs.
#include <gtest/gtest.h>

#include <random>

#include "symbols/pdb_file.hpp"
#include "tiny_pdb.hpp"

namespace swat::symbols {
namespace {

constexpr std::string_view kWanted[] = {"_S.member", "_S.nested.member"};
using Offsets = std::map<std::string, std::uint32_t, std::less<>>;

// _S of `member` and, as `const volatile` of what is declared before it is defined, `nested`.
TinyPdb honest() {
  TinyPdb pdb;
  const std::uint32_t declared = pdb.add_structure("_N", 0, true);
  const std::uint32_t modified =
      pdb.add(0x1001, TypeBytes().put(declared).put(std::uint16_t{3}).put(std::uint16_t{0}));
  TypeBytes rest;
  TinyPdb::put_member(rest, "member", 0x44, 0);
  const std::uint32_t more = pdb.add_fields(rest);
  TypeBytes fields;
  TinyPdb::put_member(fields, "nested", 8, modified);
  fields.put(std::uint16_t{0x1404}).put(std::uint16_t{0}).put(more);
  pdb.add_structure("_S", pdb.add_fields(fields));
  TypeBytes inner;
  TinyPdb::put_member(inner, "pad", 0, 0);
  inner.put(std::uint8_t{0xf3}).put(std::uint8_t{0xf2}).put(std::uint8_t{0xf1});
  TinyPdb::put_member(inner, "member", 4, 0);
  pdb.add_structure("_N", pdb.add_fields(inner));
  return pdb;
}

TEST(TinyPdb, ReadsAsItWasWritten) {
  const auto profile = read_pdb(honest().file(), kWanted);
  ASSERT_TRUE(profile) << profile.error().what;
  EXPECT_EQ(profile->offsets, (Offsets{{"_S.member", 0x44}, {"_S.nested.member", 12}}));
  // The image has the debug stream's age, 3, not the information's, 7.
  EXPECT_EQ(profile->id, (PeDebugId{"030201000504070608090a0b0c0d0e0f", 3, ""}));
  EXPECT_EQ(profile->machine, kPeMachineX86_64);
}

struct Lie {
  const char* what;
  std::uint32_t at;
  std::uint32_t value;
  Errc answer = Errc::kBadImage;
};

TEST(TinyPdb, HasAnAnswerToEveryLie) {
  constexpr Lie kLies[] = {
      {"another magic", 20, 0, Errc::kUnsupported},
      {"blocks of no bytes", TinyPdb::kSuperBlock, 0},
      {"blocks of 513 bytes", TinyPdb::kSuperBlock, 513},
      {"blocks of 2 GiB", TinyPdb::kSuperBlock, 1u << 31},
      {"a directory of 4 GiB", TinyPdb::kDirectoryBytes, ~0u},
      {"a directory of no bytes", TinyPdb::kDirectoryBytes, 0},
      {"a directory without its blocks", TinyPdb::kDirectoryBytes, 24},
      {"a list far away", TinyPdb::kSuperBlock + 20, ~0u},
      {"a directory far away", TinyPdb::kList, ~0u},
      {"2^32 streams", TinyPdb::kDirectory, ~0u},
      {"no streams", TinyPdb::kDirectory, 0, Errc::kNotFound},
      {"an information of 4 GiB", TinyPdb::kDirectory + 8, ~0u - 1},
      {"no information", TinyPdb::kDirectory + 8, ~0u, Errc::kNotFound},
      {"an information cut off", TinyPdb::kDirectory + 8, 27},
      {"of before GUIDs", TinyPdb::kInfo, 19970604, Errc::kUnsupported},
      {"an information far away", TinyPdb::kDirectory + 20, 1u << 30},
      {"types of before 7.0", TinyPdb::kTypes, 19961031, Errc::kUnsupported},
      {"types far behind their header", TinyPdb::kTypes + 4, ~0u},
      {"4 GiB of types", TinyPdb::kTypes + 16, ~0u},
      {"a type that is cut off", TinyPdb::kTypes + 56, 0xffff},
      {"a type of one byte", TinyPdb::kTypes + 56, 1},
  };
  for (const Lie& lie : kLies) {
    auto file = honest().file();
    std::memcpy(file.data() + lie.at, &lie.value, sizeof(lie.value));
    const auto profile = read_pdb(file, kWanted);
    ASSERT_FALSE(profile) << lie.what;
    EXPECT_EQ(profile.error().code, lie.answer) << lie.what << ": " << profile.error().what;
  }
}

// What `_S.member` is when _S has these fields.
Result<MemberProfile> read_with(TinyPdb& pdb, std::uint32_t fields) {
  pdb.add_structure("_S", fields);
  return read_pdb(pdb.file(), kWanted);
}

TEST(TinyPdb, EndsWhereAListGoesOnInItself) {
  TinyPdb pdb;
  TypeBytes fields;
  fields.put(std::uint16_t{0x1404}).put(std::uint16_t{0}).put(TinyPdb::kFirstType);
  EXPECT_EQ(read_with(pdb, pdb.add_fields(fields)).error().code, Errc::kBadImage);
}

TEST(TinyPdb, HasNoMembersInAModifierOfItself) {
  TinyPdb pdb;
  pdb.add(0x1001, TypeBytes().put(TinyPdb::kFirstType).put(0u));
  TypeBytes fields;
  TinyPdb::put_member(fields, "nested", 8, TinyPdb::kFirstType);
  const auto profile = read_with(pdb, pdb.add_fields(fields));
  ASSERT_TRUE(profile) << profile.error().what;
  EXPECT_EQ(profile->offsets, Offsets{});
}

TEST(TinyPdb, IsABadImageWhereMembersAreDamaged) {
  TypeBytes far_away;  // 2^40, in 8 bytes
  far_away.put(std::uint16_t{0x150d}).put(std::uint16_t{3}).put(0x74u);
  far_away.put(std::uint16_t{0x800a}).put(std::uint64_t{1} << 40).put_name("member");
  TypeBytes negative;
  negative.put(std::uint16_t{0x150d}).put(std::uint16_t{3}).put(0x74u);
  negative.put(std::uint16_t{0x8000}).put(std::uint8_t{0xff}).put_name("member");
  TypeBytes cut_off;
  cut_off.put(std::uint16_t{0x150d}).put(std::uint16_t{3}).put(0x74u).put(std::uint16_t{8});
  TypeBytes without_end;
  TinyPdb::put_member(without_end, "x", 8, 0).put('y').put('z');
  for (const TypeBytes& fields : {far_away, negative, cut_off, without_end}) {
    TinyPdb pdb;
    EXPECT_EQ(read_with(pdb, pdb.add_fields(fields)).error().code, Errc::kBadImage);
  }
  TinyPdb no_list;
  EXPECT_EQ(read_with(no_list, no_list.add(0x1201, TypeBytes().put(0u))).error().code,
            Errc::kBadImage);
}

TEST(TinyPdb, SaysWhichMembersItDoesNotKnow) {
  TinyPdb pdb;
  TypeBytes fields;
  fields.put(std::uint16_t{0x1405}).put(std::uint16_t{0}).put(0x74u);  // of 1998
  EXPECT_EQ(read_with(pdb, pdb.add_fields(fields)).error().code, Errc::kUnsupported);
}

bool is_honest_answer(Errc code) {
  return code == Errc::kBadImage || code == Errc::kNotFound || code == Errc::kUnsupported;
}

TEST(TinyPdb, SurvivesAnyChangedBytes) {
  constexpr std::uint32_t kTelling[] = {0, 1, 0xff, 0x1000, 0x1001, 0x7fff'ffff, ~0U};
  std::mt19937 random(20261130);
  const auto whole = honest().file();
  std::vector<std::uint32_t> telling;  // bytes worth changing
  for (std::uint32_t at = 0; at < whole.size(); ++at) {
    if (whole[at] != std::byte{0}) telling.push_back(at);
  }
  int read = 0;
  for (int round = 0; round < 20000; ++round) {
    auto file = whole;
    for (std::size_t changes = 1 + random() % 4; changes > 0; --changes) {
      const std::uint32_t at = telling[random() % telling.size()];
      const std::uint32_t value =
          random() % 2 == 0 ? random() % 256 : kTelling[random() % std::size(kTelling)];
      std::memcpy(file.data() + at, &value, random() % 2 == 0 ? 1 : 4);
    }
    if (random() % 16 == 0) file.resize(random() % file.size());
    const auto profile = read_pdb(file, kWanted);
    ASSERT_TRUE(profile || is_honest_answer(profile.error().code)) << round;
    read += profile ? 1 : 0;
  }
  EXPECT_GT(read, 1000);
  EXPECT_LT(read, 19000);
}

}  // namespace
}  // namespace swat::symbols
