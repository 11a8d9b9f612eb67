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

TEST(ExitPath, LeavesAnEndlessLoop) {
  EXPECT_EQ(exits_of({0xe8, 0, 0, 0, 0, 0xeb, 0xf9}).error().code, Errc::kNotFound);
}

TEST(ExitPath, FindsNothingOnAnAbsentPage) {
  CodeMemory kernel(kEntry, {0x90});
  EXPECT_EQ(find_exit_points(kernel, Va{0x5000}).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace swat::os::x86
