// Offsets by the kernel's own accessors, by the rows of its build, and by what a user has.
#include <gtest/gtest.h>

#include <map>

#include "code_memory.hpp"
#include "osmodels/windows/accessors.hpp"
#include "osmodels/windows/chosen_offsets.hpp"
#include "osmodels/windows/given_offsets.hpp"
#include "tests/symbols/tiny_pe.hpp"

namespace swat::os::windows {
namespace {

using test::CodeMemory;
using Start = ReturnedPath::Start;
using Loads = std::vector<std::uint64_t>;

constexpr Va kCode{0xffff'f800'0001'0000};

// With what a compiler pads functions with: an instruction is read with what follows it.
CodeMemory padded(std::string_view hex) {
  std::string text(hex);
  for (int i = 0; i < 16; ++i) text += " cc";
  return CodeMemory::of_hex(kCode, text);
}

Result<ReturnedPath> follow(std::string_view hex, unsigned word_bytes) {
  CodeMemory code = padded(hex);
  return follow_accessor(code, kCode, word_bytes);
}

// All of the code here is what GNU as and objdump make of the instructions in the comments.

TEST(WindowsAccessors, FollowsALoadThroughTheArgument) {
  // mov 0x440(%rcx),%rax; ret
  EXPECT_EQ(follow("48 8b 81 40 04 00 00 c3", 8),
            (ReturnedPath{Start::kArgument, Loads{0x440}, 0}));
  // mov %edi,%edi; push %ebp; mov %esp,%ebp; mov 8(%ebp),%eax; mov 0x84(%eax),%eax; pop %ebp; ret
  // $4
  EXPECT_EQ(follow("89 ff 55 89 e5 8b 45 08 8b 80 84 00 00 00 5d c2 04 00", 4),
            (ReturnedPath{Start::kArgument, Loads{0x84}, 0}));
  // mov 4(%esp),%eax; mov 0x1f0(%eax),%eax; ret $4
  EXPECT_EQ(follow("8b 44 24 04 8b 80 f0 01 00 00 c2 04 00", 4),
            (ReturnedPath{Start::kArgument, Loads{0x1f0}, 0}));
}

TEST(WindowsAccessors, FollowsAnAddressInTheArgument) {
  // lea 0x5a8(%rcx),%rax; ret
  EXPECT_EQ(follow("48 8d 81 a8 05 00 00 c3", 8), (ReturnedPath{Start::kArgument, Loads{}, 0x5a8}));
  // mov %edi,%edi; push %ebp; mov %esp,%ebp; mov 8(%ebp),%eax; add $0x174,%eax; pop %ebp; ret $4
  EXPECT_EQ(follow("89 ff 55 89 e5 8b 45 08 05 74 01 00 00 5d c2 04 00", 4),
            (ReturnedPath{Start::kArgument, Loads{}, 0x174}));
}

TEST(WindowsAccessors, FollowsLoadsFromTheKpcr) {
  // mov %gs:0x188,%rax; mov 0xb8(%rax),%rax; ret
  EXPECT_EQ(follow("65 48 8b 04 25 88 01 00 00 48 8b 80 b8 00 00 00 c3", 8),
            (ReturnedPath{Start::kPcr, Loads{0x188, 0xb8}, 0}));
  // mov %fs:0x124,%eax; mov 0x44(%eax),%eax; ret
  EXPECT_EQ(follow("64 a1 24 01 00 00 8b 40 44 c3", 4),
            (ReturnedPath{Start::kPcr, Loads{0x124, 0x44}, 0}));
}

TEST(WindowsAccessors, FollowsLoadsFromTheKpcrByItsAddress) {
  // mov 0xffdff124,%eax; ret
  EXPECT_EQ(follow("a1 24 f1 df ff c3", 4), (ReturnedPath{Start::kPcr, Loads{0x124}, 0}));
  // mov %ds:0xffdff124,%ecx; mov 0x44(%ecx),%eax; ret
  EXPECT_EQ(follow("3e 8b 0d 24 f1 df ff 8b 41 44 c3", 4),
            (ReturnedPath{Start::kPcr, Loads{0x124, 0x44}, 0}));
}

TEST(WindowsAccessors, TakesNoOtherAddressForTheKpcrs) {
  // mov 0xffe00000,%eax; ret: behind it
  EXPECT_EQ(follow("a1 00 00 e0 ff c3", 4).error().code, Errc::kNotFound);
  // mov 0xffdfeffc,%eax; ret: before it
  EXPECT_EQ(follow("a1 fc ef df ff c3", 4).error().code, Errc::kNotFound);
  // mov 0xffdff124(%eax),%eax; ret: what eax holds is not known
  EXPECT_EQ(follow("8b 80 24 f1 df ff c3", 4).error().code, Errc::kNotFound);
  // mov %es:0xffdff124,%eax; ret
  EXPECT_EQ(follow("26 a1 24 f1 df ff c3", 4).error().code, Errc::kNotFound);
  // mov 0xffffffffffdff124,%rax; ret: it has none there
  EXPECT_EQ(follow("48 8b 04 25 24 f1 df ff c3", 8).error().code, Errc::kNotFound);
}

TEST(WindowsAccessors, TakesNothingFromOtherCode) {
  // mov 4(%esp),%eax; test %eax,%eax; je .; mov 4(%eax),%eax; ret: it forks
  EXPECT_EQ(follow("8b 44 24 04 85 c0 74 fe 8b 40 04 c3", 4).error().code, Errc::kNotFound);
  // mov (%rcx,%rdx,8),%rax; ret: an index
  EXPECT_EQ(follow("48 8b 04 d1 c3", 8).error().code, Errc::kNotFound);
  // xor %eax,%eax; ret
  EXPECT_EQ(follow("31 c0 c3", 8).error().code, Errc::kNotFound);
  // mov 0x440(%rcx),%rax; xor %eax,%eax; ret: no more of the path is left
  EXPECT_EQ(follow("48 8b 81 40 04 00 00 31 c0 c3", 8).error().code, Errc::kNotFound);
  // lea -8(%rcx),%rax; ret: no member
  EXPECT_EQ(follow("48 8d 41 f8 c3", 8).error().code, Errc::kNotFound);
  EXPECT_EQ(follow("06", 8).error().code, Errc::kBadImage);  // no instruction of 64-bit code
}

// PsGetProcessId and IoGetCurrentProcess as above, the one behind the other.
TEST(WindowsAccessors, TellMembersByTheirNames) {
  CodeMemory code =
      padded("48 8b 81 40 04 00 00 c3 65 48 8b 04 25 88 01 00 00 48 8b 80 b8 00 00 00 c3");
  const std::map<std::string_view, Va> exports = {{"PsGetProcessId", kCode},
                                                  {"IoGetCurrentProcess", kCode + 8}};
  const auto find = [&](std::string_view name) {
    const auto found = exports.find(name);
    return found == exports.end() ? std::nullopt : std::optional(found->second);
  };
  WindowsOffsets expected;
  expected.process_pid = 0x440;
  expected.process_links = 0x448;
  expected.thread_process = 0xb8;
  EXPECT_EQ(offsets_by_accessors(code, find, 8), expected);
}

TEST(WindowsOffsetRows, AreAscendingAndComplete) {
  EXPECT_EQ(offset_rows().size(), 51u);
  for (std::size_t i = 1; i < offset_rows().size(); ++i) {
    EXPECT_LE(offset_rows()[i - 1].build, offset_rows()[i].build) << offset_rows()[i].name;
  }
  for (const OffsetRow& row : offset_rows()) {
    EXPECT_EQ(*row.offsets.process_links, *row.offsets.process_pid + row.word_bytes) << row.name;
    EXPECT_EQ(row.offsets.process_wow64.has_value(), row.word_bytes == 8) << row.name;
  }
}

std::vector<std::string_view> names_near(std::uint32_t build, unsigned word_bytes) {
  std::vector<std::string_view> names;
  for (const OffsetRow* row : rows_near(build, word_bytes)) names.push_back(row->name);
  return names;
}

TEST(WindowsOffsetRows, AreThoseOfTheBuildOrTheNearest) {
  using Names = std::vector<std::string_view>;
  EXPECT_EQ(names_near(2600, 4), (Names{"xp_sp0_sp1_x86", "xp_sp2_x86", "xp_sp3_x86"}));
  EXPECT_EQ(names_near(7601, 8), (Names{"win7_sp1_x64", "win7_sp1_kvas_x64"}));
  EXPECT_EQ(names_near(19045, 8), Names{"win10_19041_x64"});  // an update of it
  EXPECT_EQ(names_near(2195, 8), (Names{"w2003xp_sp1_x64", "w2003xp_sp2_x64"}));
}

TEST(WindowsOffsetCandidates, PutAccessorsBeforeTheRow) {
  const OffsetRow& row = *rows_near(19041, 8).front();
  WindowsOffsets told;
  told.process_peb = *row.offsets.process_peb + 8;  // a servicing update has moved it
  told.process_pid = row.offsets.process_pid;
  const auto candidates = offset_candidates(told, {&row});
  ASSERT_EQ(candidates.size(), 2u);
  EXPECT_EQ(candidates[0].offsets.process_peb, told.process_peb);
  EXPECT_EQ(candidates[0].offsets.process_name, row.offsets.process_name);
  EXPECT_NE(candidates[0].found_by.find("differs in EPROCESS.Peb"), std::string::npos);
  EXPECT_EQ(candidates[1].offsets, row.offsets);
}

TEST(WindowsOffsetCandidates, PutTheRowFirstThatAccessorsAgreeWith) {
  const auto rows = rows_near(7601, 8);
  ASSERT_NE(rows[0]->offsets.thread_client_id, rows[1]->offsets.thread_client_id);
  const auto candidates = offset_candidates(rows[1]->offsets, rows);
  ASSERT_FALSE(candidates.empty());
  EXPECT_EQ(candidates[0].offsets, rows[1]->offsets);
}

TEST(WindowsOffsetCandidates, WithoutRowsTakeAllFromAccessorsOrNothing) {
  WindowsOffsets told = (*rows_near(19041, 8).front()).offsets;
  ASSERT_EQ(offset_candidates(told, {}).size(), 1u);
  told.process_wow64.reset();
  EXPECT_EQ(offset_candidates(told, {}).size(), 1u);  // old builds have no function for it
  told.process_name.reset();
  EXPECT_TRUE(offset_candidates(told, {}).empty());
}

TEST(WindowsOffsetCandidates, HaveWhatIsGivenInAllOfThem) {
  const OffsetRow& row = *rows_near(19041, 8).front();
  WindowsOffsets told;
  told.process_peb = 0x10;
  told.process_name = 0x20;
  GivenOffsets given;
  given.offsets.process_peb = 0x30;
  given.by = "file";
  const auto candidates = offset_candidates(told, {&row}, given);
  ASSERT_EQ(candidates.size(), 2u);
  for (const OffsetCandidate& candidate : candidates) {
    EXPECT_EQ(candidate.offsets.process_peb, 0x30u);
    EXPECT_TRUE(candidate.found_by.starts_with("1 members by file, others: "))
        << candidate.found_by;
  }
  EXPECT_EQ(candidates[0].offsets.process_name, 0x20u);
  EXPECT_EQ(candidates[1].offsets.process_name, row.offsets.process_name);
}

TEST(WindowsOffsetCandidates, AreOneWhereAllIsGiven) {
  const OffsetRow& row = *rows_near(19041, 8).front();
  const WindowsOffsets other = rows_near(7601, 8).front()->offsets;
  ASSERT_NE(row.offsets, other);
  const auto candidates = offset_candidates(row.offsets, {&row}, {other, "file"});
  ASSERT_EQ(candidates.size(), 1u);
  EXPECT_EQ(candidates[0].offsets, other);
  EXPECT_EQ(candidates[0].found_by, "10 members by file");
}

symbols::MemberProfile profile_of(std::uint16_t machine) {
  symbols::MemberProfile profile;
  profile.machine = machine;
  std::uint32_t next = 1;
  for (const std::string_view name : given_member_names()) profile.offsets.emplace(name, next++);
  return profile;
}

TEST(GivenOffsets, AreOfEachMemberByItsNames) {
  symbols::MemberProfile profile = profile_of(symbols::kPeMachineX86_64);
  profile.offsets.erase("_KPCR.PrcbData.CurrentThread");
  profile.offsets.erase("_EPROCESS.Wow64Process");
  const WindowsOffsets offsets = offsets_of(profile);
  EXPECT_EQ(offsets.pcr_current_thread, profile.offsets.at("_KPCR.Prcb.CurrentThread"));
  EXPECT_EQ(offsets.thread_process, profile.offsets.at("_KTHREAD.ApcState.Process"));
  EXPECT_EQ(offsets.thread_client_id, profile.offsets.at("_ETHREAD.Cid"));
  EXPECT_EQ(offsets.process_pid, profile.offsets.at("_EPROCESS.UniqueProcessId"));
  EXPECT_EQ(offsets.process_links, profile.offsets.at("_EPROCESS.ActiveProcessLinks"));
  EXPECT_EQ(offsets.process_parent_pid,
            profile.offsets.at("_EPROCESS.InheritedFromUniqueProcessId"));
  EXPECT_EQ(offsets.process_name, profile.offsets.at("_EPROCESS.ImageFileName"));
  EXPECT_EQ(offsets.process_peb, profile.offsets.at("_EPROCESS.Peb"));
  EXPECT_EQ(offsets.process_wow64, profile.offsets.at("_EPROCESS.WoW64Process"));
  EXPECT_EQ(offsets.process_vad_root, profile.offsets.at("_EPROCESS.VadRoot"));
}

TEST(GivenOffsets, HaveNo32BitSideOf32BitKernels) {
  EXPECT_FALSE(offsets_of(profile_of(symbols::kPeMachineI386)).process_wow64);
  EXPECT_EQ(offsets_of({}), WindowsOffsets{});
}

// TinyPe is of x64.
Result<> check(std::uint16_t machine, const Result<symbols::PeDebugId>& of_guest) {
  symbols::TinyPe pe;
  symbols::MemberProfile profile;
  profile.path = "given.pdb";
  profile.machine = machine;
  profile.id = {"00ff", 2, "ntkrnlmp.pdb"};
  return check_given(profile, *symbols::PeImage::open(pe, symbols::TinyPe::kBase), of_guest);
}

TEST(GivenOffsets, AreOfTheSameImage) {
  constexpr std::uint16_t kX64 = symbols::kPeMachineX86_64;
  using Id = symbols::PeDebugId;
  EXPECT_TRUE(check(kX64, Id{"00ff", 2, "c:\\elsewhere\\ntkrnlmp.pdb"}));
  EXPECT_TRUE(check(kX64, fail(Errc::kFault, "it is paged out")));
  const auto other = check(kX64, Id{"00fe", 2, "ntkrnlmp.pdb"});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::kUsage);
  EXPECT_EQ(other.error().what,
            "given.pdb is of another kernel (ntkrnlmp.pdb 00ff 2) than the guest's (ntkrnlmp.pdb "
            "00fe 2)");
  EXPECT_FALSE(check(kX64, Id{"00ff", 1, "ntkrnlmp.pdb"}));
  const auto narrow = check(symbols::kPeMachineI386, Id{"00ff", 2, "ntkrnlmp.pdb"});
  ASSERT_FALSE(narrow);
  EXPECT_EQ(narrow.error().what, "given.pdb is of a kernel for x86, and the guest's is for x64");
}

}  // namespace
}  // namespace swat::os::windows
