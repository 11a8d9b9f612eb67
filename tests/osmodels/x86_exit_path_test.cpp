#include <gtest/gtest.h>

#include "osmodels/x86/exit_path.hpp"
#include "tests/osmodels/kernel_exit_code.hpp"

namespace swat::os::x86 {
namespace {

using test::CodeMemory;

// `pop %rax` of the saved registers, by objdump: of syscall_return_via_sysret, from the entry on,
// and of the patched-in alternative of swapgs_restore_regs_and_return_to_usermode, from its start.
struct Loads {
  std::uint64_t sysret;
  std::uint64_t iret;
};
constexpr Loads kLoads[] = {
    {0x136, 0x32}, {0x13d, 0x32}, {0x13d, 0x32}, {0xe3, 0x36}, {0xe3, 0x68},
};
static_assert(std::size(kLoads) == std::size(test::kKernelCode));

class ExitPathOf : public testing::TestWithParam<std::size_t> {
 protected:
  const test::KernelCode& code() const { return test::kKernelCode[GetParam()]; }
};
INSTANTIATE_TEST_SUITE_P(Kernels, ExitPathOf,
                         testing::Range<std::size_t>(0, std::size(test::kKernelCode)));

TEST_P(ExitPathOf, FindsBothWaysOutAndNoOther) {
  test::KernelMemory kernel(code());
  const auto exits = find_exit_points(kernel, code().entry);
  ASSERT_TRUE(exits) << code().version << ": " << exits.error().what;
  ASSERT_EQ(exits->size(), 2u) << code().version;
  EXPECT_EQ((*exits)[0].load, code().entry + kLoads[GetParam()].sysret) << code().version;
  EXPECT_EQ((*exits)[1].load, code().iret_path + kLoads[GetParam()].iret) << code().version;
  for (const ExitPoint& exit : *exits) EXPECT_EQ(exit.loaded, exit.load + 1);
}

// pop %rcx; pop %rdx; pop %rsi, and then: mov %rsp,%rdi; or, since 6.10 on the iret path without
// page-table isolation, pop %rdi; add $8,%rsp; swapgs.
TEST_P(ExitPathOf, BreaksWhereItCanGoOnWithoutAStep) {
  test::KernelMemory kernel(code());
  const auto exits = find_exit_points(kernel, code().entry);
  ASSERT_TRUE(exits);
  for (const ExitPoint& exit : *exits) {
    const std::uint64_t pops = 3;
    const bool plain_iret = read_as<std::uint8_t>(kernel, exit.loaded + pops) == 0x5f;
    EXPECT_EQ(exit.breakpoint, exit.loaded + pops + (plain_iret ? 5 : 0)) << code().version;
  }
}

TEST_P(ExitPathOf, KnowsWhereALateStopWouldBe) {
  test::KernelMemory kernel(code());
  const auto exits = find_exit_points(kernel, code().entry);
  ASSERT_TRUE(exits);
  for (const ExitPoint& exit : *exits) {
    EXPECT_FALSE(exit.late.empty()) << code().version;
    for (const Va late : exit.late) EXPECT_GT(late, exit.breakpoint) << code().version;
  }
}

constexpr Va kEntry{0xffffffff81a00000};
constexpr std::size_t kPadding = 16;

Result<std::vector<ExitPoint>> exits_of(std::vector<std::uint8_t> code) {
  code.insert(code.end(), kPadding, 0x90);
  CodeMemory kernel(kEntry, code);
  return find_exit_points(kernel, kEntry);
}

TEST(ExitPath, TakesALoadFromTheStackForAPop) {
  // call +0; mov 0x50(%rsp),%rax; swapgs; ret
  const auto exits =
      exits_of({0xe8, 0, 0, 0, 0, 0x48, 0x8b, 0x44, 0x24, 0x50, 0x0f, 0x01, 0xf8, 0xc3});
  ASSERT_TRUE(exits) << exits.error().what;
  ASSERT_EQ(exits->size(), 1u);
  EXPECT_EQ(exits->front().load, kEntry + 5);
  EXPECT_EQ(exits->front().loaded, kEntry + 10);
  EXPECT_EQ(exits->front().breakpoint, kEntry + 10);
}

// entry_SYSENTER_compat borrows rax before it has called anything.
TEST(ExitPath, TakesNoLoadBeforeTheHandlerIsCalled) {
  // push %rax; pop %rax; call +0; ret
  EXPECT_EQ(exits_of({0x50, 0x58, 0xe8, 0, 0, 0, 0, 0xc3}).error().code, Errc::kNotFound);
}

TEST(ExitPath, LooksBehindBothSidesOfABranch) {
  // call +0; je +2; pop %rax; ret; pop %rax; ret
  const auto exits = exits_of({0xe8, 0, 0, 0, 0, 0x74, 0x02, 0x58, 0xc3, 0x58, 0xc3});
  ASSERT_TRUE(exits);
  ASSERT_EQ(exits->size(), 2u);
  EXPECT_EQ((*exits)[0].load, kEntry + 7);
  EXPECT_EQ((*exits)[1].load, kEntry + 9);
}

// Linux 6.1 since the errata of int $0x80: its way out is that of exceptions, which may have come
// from the kernel.
TEST(ExitPath, TakesNoWayBackToTheKernel) {
  // call +0; testb $3,0x88(%rsp); je +2 (or jne +2); pop %rax; ret; pop %rax; ret
  std::vector<std::uint8_t> code = {0xe8, 0, 0, 0,    0,    0xf6, 0x84, 0x24, 0x88, 0,
                                    0,    0, 3, 0x74, 0x02, 0x58, 0xc3, 0x58, 0xc3};
  const auto forwards = exits_of(code);
  ASSERT_TRUE(forwards);
  ASSERT_EQ(forwards->size(), 1u);
  EXPECT_EQ(forwards->front().load, kEntry + 15);
  code[13] = 0x75;
  const auto by_jump = exits_of(code);
  ASSERT_TRUE(by_jump);
  ASSERT_EQ(by_jump->size(), 1u);
  EXPECT_EQ(by_jump->front().load, kEntry + 17);
}

TEST(ExitPath, EndsALateStopAtBothSidesOfABranch) {
  // call +0; pop %rax; swapgs; je +2; nop; nop; ret
  const auto exits =
      exits_of({0xe8, 0, 0, 0, 0, 0x58, 0x0f, 0x01, 0xf8, 0x74, 0x02, 0x90, 0x90, 0xc3});
  ASSERT_TRUE(exits);
  EXPECT_EQ(exits->front().late, (std::vector{kEntry + 13, kEntry + 11}));
}

TEST(ExitPath, BreaksOnTheNextInstructionWhereNoneCanBeSkipped) {
  // call +0; pop %rax; pop %rcx; ret
  const auto exits = exits_of({0xe8, 0, 0, 0, 0, 0x58, 0x59, 0xc3});
  ASSERT_TRUE(exits);
  EXPECT_EQ(exits->front().breakpoint, kEntry + 6);
}

// Of 32 bits: entry_SYSENTER_32 and entry_INT80_32 of 5.8.18, up to iret; system_call of 3.16, up
// to the same. In the memory of running guests, as in kernel_exit_code.inc; loads are by objdump.
constexpr Va kSysenter{0xc148c9b0};
constexpr Va kInt80{0xc148caa4};
constexpr std::string_view kCodeOf_5_8 =
    "9c 50 eb 17 0f 20 d8 a9 00 10 00 00 74 0d 25 ff ef ff ff 0f 22 d8 0d 00 10 00 00 58 9d 8b a4 "
    "24 0c 20 00 00 6a 7b 6a 00 9c 6a 73 6a 00 50 fc 0f a8 0f a0 50 b8 00 00 00 00 8e e0 58 81 64 "
    "24 10 ff ff 00 00 f7 44 24 10 02 00 00 00 75 26 81 4c 24 10 00 00 00 20 16 54 83 04 24 1c ff "
    "74 24 1c ff 74 24 1c ff 74 24 1c ff 74 24 1c ff 74 24 1c ff 74 24 1c 06 1e 6a da 55 57 56 52 "
    "51 53 ba 7b 00 00 00 8e da 8e c2 ba e0 00 00 00 8e ea f7 44 24 38 00 41 04 00 75 54 89 e0 e8 "
    "f1 97 ff ff 85 c0 0f 84 48 01 00 00 a1 04 90 56 c1 83 e8 08 8b 7c 24 38 8b 74 24 18 89 38 89 "
    "70 04 8b 54 24 30 8b 4c 24 3c 8e 64 24 24 8e 6c 24 28 5b 83 c4 08 5e 5f 5d 89 c4 eb 0b 0f 20 "
    "d8 0d 00 10 00 00 0f 22 d8 0f ba 34 24 09 9d 58 fb 0f 35 6a 02 9d eb a7 8d 76 00 8d 76 00 50 "
    "fc 0f a8 0f a0 50 b8 00 00 00 00 8e e0 58 81 64 24 10 ff ff 00 00 f7 44 24 10 02 00 00 00 75 "
    "26 81 4c 24 10 00 00 00 20 16 54 83 04 24 1c ff 74 24 1c ff 74 24 1c ff 74 24 1c ff 74 24 1c "
    "ff 74 24 1c ff 74 24 1c 06 1e 6a da 55 57 56 52 51 53 ba 7b 00 00 00 8e da 8e c2 ba e0 00 00 "
    "00 8e ea 90 8d 74 26 00 eb 17 0f 20 d8 a9 00 10 00 00 74 0d 25 ff ef ff ff 0f 22 d8 0d 00 10 "
    "00 00 8b 0d 0c d9 57 c1 81 c1 00 30 00 00 29 e1 81 f9 00 10 00 00 73 5c 89 e6 89 f7 81 e7 00 "
    "f0 ff ff 81 c7 00 10 00 00 8b bf 0c 20 00 00 8b 4c 24 34 83 e1 03 83 f9 03 72 11 b9 44 00 00 "
    "00 29 cf 89 fc c1 e9 02 fc f3 a5 eb 29 89 f1 81 e1 00 f0 ff ff 81 c1 00 10 00 00 29 f1 81 4c "
    "24 34 00 00 00 80 a9 00 10 00 00 74 d5 81 4c 24 34 00 00 00 40 eb cb 89 e0 e8 e1 95 ff ff 90 "
    "8d 74 26 00 b9 44 00 00 00 8b 3d 04 90 56 c1 29 cf 89 e6 89 fb c1 e9 02 fc f3 a5 89 dc 89 f6 "
    "8b 44 24 38 8a 64 24 40 8a 44 24 34 25 03 04 02 00 3d 03 04 00 00 75 25 89 e2 8b 44 24 3c 66 "
    "89 d0 29 c2 c1 ea 10 88 15 d4 e0 56 c1 88 35 d7 e0 56 c1 68 d0 00 00 00 50 fa 0f b2 24 24 eb "
    "0b 0f 20 d8 0d 00 10 00 00 0f 22 d8 5b 59 5a 5e 5f 5d 58 1f 07 0f a1 0f a9 83 c4 04 f7 44 24 "
    "04 00 00 00 20 74 31 50 51 8b 44 24 14 8b 4c 24 10 36 89 48 fc 8b 4c 24 0c 81 e1 ff ff 00 00 "
    "36 89 48 f8 8b 4c 24 08 36 89 48 f4 8b 4c 24 04 36 89 48 f0 59 8d 60 f0 58 cf";
constexpr Va kOldInt80{0xc1424c93};
constexpr std::string_view kCodeOf_3_16 =
    "50 fc 0f a8 0f a0 06 1e 50 55 57 56 52 51 53 ba 7b 00 00 00 8e da 8e c2 ba 00 00 00 00 8e e2 "
    "ba e0 00 00 00 8e ea 8b 2d 80 72 59 c1 81 ed ec 1f 00 00 f7 45 08 d1 01 08 10 0f 85 0e 01 00 "
    "00 3d 65 01 00 00 0f 83 5e 01 00 00 ff 14 85 40 82 42 c1 89 44 24 18 fa 8d b6 00 00 00 00 8b "
    "4d 08 f7 c1 ff fe 08 10 0f 85 02 01 00 00 8b 44 24 38 8a 64 24 40 8a 44 24 34 25 03 04 02 00 "
    "3d 03 04 00 00 74 17 5b 59 5a 5e 5f 5d 58 1f 07 0f a1 0f a9 83 c4 04 cf 8d b6 00 00 00 "
    "00 83 3d c4 f6 59 c1 00 75 e0 89 e2";

// SYSEXIT's way has `mov 0x18(%esp),%esi`, the other copies all registers with `rep movsl`, in the
// midst of which a vCPU is stopped. Another `rep movsl`, on the way in, is none.
TEST(ExitPath32, CopiesWhatHasBeenSaved) {
  CodeMemory kernel = CodeMemory::of_hex(kSysenter, kCodeOf_5_8);
  const auto by_sysenter = find_exit_points(kernel, kSysenter, 32);
  ASSERT_TRUE(by_sysenter) << by_sysenter.error().what;
  ASSERT_EQ(by_sysenter->size(), 2u);
  EXPECT_EQ((*by_sysenter)[0].load, Va{0xc148ca63});
  EXPECT_EQ((*by_sysenter)[0].loaded, Va{0xc148ca67});
  EXPECT_EQ((*by_sysenter)[1].load, Va{0xc148cbb9});
  EXPECT_EQ((*by_sysenter)[1].loaded, Va{0xc148cbb9});
  const auto by_int80 = find_exit_points(kernel, kInt80, 32);
  ASSERT_TRUE(by_int80) << by_int80.error().what;
  ASSERT_EQ(by_int80->size(), 1u);
  EXPECT_EQ(by_int80->front().load, Va{0xc148cbb9});
}

TEST(ExitPath32, PopsIt) {
  CodeMemory kernel = CodeMemory::of_hex(kOldInt80, kCodeOf_3_16);
  const auto exits = find_exit_points(kernel, kOldInt80, 32);
  ASSERT_TRUE(exits) << exits.error().what;
  ASSERT_EQ(exits->size(), 1u);
  EXPECT_EQ(exits->front().load, Va{0xc1424d1c});
  EXPECT_EQ(exits->front().loaded, Va{0xc1424d1d});
}

TEST(ExitPath, LeavesAnEndlessLoop) {
  EXPECT_EQ(exits_of({0xe8, 0, 0, 0, 0, 0xeb, 0xf9}).error().code, Errc::kNotFound);
}

TEST(ExitPath, FindsNothingOnAnAbsentPage) {
  CodeMemory kernel(kEntry, {0x90});
  EXPECT_EQ(find_exit_points(kernel, Va{0x5000}).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace swat::os::x86
