#include <gtest/gtest.h>

#include "osmodels/x86/syscall_frame.hpp"
#include "tests/osmodels/kernel_exit_code.hpp"

namespace swat::os::x86 {
namespace {

using test::CodeMemory;

// By the same kernels' own kallsyms: sp1 of cpu_tss_rw (5.10), cpu_current_top_of_stack (6.1),
// top_of_stack in pcpu_hot (6.12). 7.2 keeps its per-CPU symbols to itself: by objdump.
constexpr std::uint64_t kStackWords[] = {0x600c, 0x1fb50, 0x1fb50, 0x351d8, 0xffffffffbeb4d010};
static_assert(std::size(kStackWords) == std::size(test::kKernelCode));

class SyscallFrameOf : public testing::TestWithParam<std::size_t> {
 protected:
  const test::KernelCode& code() const { return test::kKernelCode[GetParam()]; }
};
INSTANTIATE_TEST_SUITE_P(Kernels, SyscallFrameOf,
                         testing::Range<std::size_t>(0, std::size(test::kKernelCode)));

TEST_P(SyscallFrameOf, FindsTheWordThatLeadsToTheStack) {
  test::KernelMemory kernel(code());
  const auto frame = find_syscall_frame(kernel, code().entry);
  ASSERT_TRUE(frame) << code().version << ": " << frame.error().what;
  EXPECT_EQ(frame->stack_gs_offset, kStackWords[GetParam()]) << code().version;
}

// The word holds the end of struct pt_regs: 168 bytes, ax at 80, ip at 128 [pahole of each].
TEST_P(SyscallFrameOf, FindsTheSavedResultInIt) {
  test::KernelMemory kernel(code());
  const auto frame = find_syscall_frame(kernel, code().entry);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->bottom, std::uint64_t{0} - 168) << code().version;
  EXPECT_EQ(frame->result, std::uint64_t{0} - 168 + 80) << code().version;
  EXPECT_EQ(SyscallFrame::kUserPcFromBottom, 128u);
}

constexpr Va kEntry{0xffffffff81a00000};

Result<SyscallFrame> frame_of(std::vector<std::uint8_t> code) {
  code.insert(code.end(), 16, 0x90);
  code.push_back(0xc3);
  code.insert(code.end(), 16, 0x90);
  CodeMemory kernel(kEntry, code);
  return find_syscall_frame(kernel, kEntry);
}

const std::vector<std::uint8_t> kLoadStack = {0x65, 0x48, 0x8b, 0x24, 0x25, 0x10, 0, 0, 0};

std::vector<std::uint8_t> after_load(std::initializer_list<std::uint8_t> code) {
  std::vector<std::uint8_t> all = kLoadStack;
  all.insert(all.end(), code);
  return all;
}

// Linux 3.16: the word is 40 bytes below the end; sub $0x50,%rsp; mov %rdi,0x40(%rsp);
// mov %rax,0x20(%rsp) (ax); mov %rax,0x48(%rsp) (orig_ax). [entry_64.S, SAVE_ARGS]
TEST(SyscallFrame, TakesTheUppermostOfTwoSavedRax) {
  const auto frame =
      frame_of(after_load({0x48, 0x83, 0xec, 0x50, 0x48, 0x89, 0x7c, 0x24, 0x40, 0x48, 0x89, 0x44,
                           0x24, 0x20, 0x48, 0x89, 0x44, 0x24, 0x48}));
  ASSERT_TRUE(frame) << frame.error().what;
  EXPECT_EQ(frame->stack_gs_offset, 0x10u);
  EXPECT_EQ(frame->result, std::uint64_t{40} - 168 + 80);
}

TEST(SyscallFrame, FollowsTheStackPointer) {
  // push %rcx; sub $8,%rsp; add $16,%rsp; push %rax
  const auto frame =
      frame_of(after_load({0x51, 0x48, 0x83, 0xec, 0x08, 0x48, 0x83, 0xc4, 0x10, 0x50}));
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->bottom, std::uint64_t{0} - 8 - 15 * 8);
}

TEST(SyscallFrame, KnowsNothingOfAStackThatNoPerCpuWordLeadsTo) {
  // push %rax; ret: on whatever stack the caller had
  EXPECT_EQ(frame_of({0x50}).error().code, Errc::kNotFound);
  // mov %rdi,%rsp; push %rax
  EXPECT_EQ(frame_of({0x48, 0x89, 0xfc, 0x50}).error().code, Errc::kNotFound);
}

TEST(SyscallFrame, LosesTheStackWhereItIsSwitched) {
  // ...; mov %rdi,%rsp; push %rax
  EXPECT_EQ(frame_of(after_load({0x48, 0x89, 0xfc, 0x50})).error().code, Errc::kNotFound);
  // ...; lea 8(%rdi),%rsp; push %rax
  EXPECT_EQ(frame_of(after_load({0x48, 0x8d, 0x67, 0x08, 0x50})).error().code, Errc::kNotFound);
}

TEST(SyscallFrame, EndsBeforeABranch) {
  // ...; je +0; push %rax
  EXPECT_EQ(frame_of(after_load({0x74, 0x00, 0x50})).error().code, Errc::kNotFound);
}

TEST(SyscallFrame, LeavesAnEndlessLoop) {
  CodeMemory kernel(kEntry, {0xeb, 0xfe, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
                             0x90, 0x90, 0x90, 0x90});
  EXPECT_EQ(find_syscall_frame(kernel, kEntry).error().code, Errc::kNotFound);
  EXPECT_LT(kernel.reads, 200u);
}

TEST(SyscallFrame, SaysWhenThePageIsAbsent) {
  CodeMemory kernel(kEntry, {0x90});
  EXPECT_EQ(find_syscall_frame(kernel, Va{0x5000}).error().code, Errc::kFault);
}

}  // namespace
}  // namespace swat::os::x86
