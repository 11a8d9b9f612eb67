#include <gtest/gtest.h>

#include "osmodels/x86/entry_path.hpp"
#include "tests/osmodels/code_memory.hpp"

namespace swat::os::x86 {
namespace {

using test::CodeMemory;

// entry_SYSCALL_64 as linked, out of the vmlinux of Debian's linux-image packages. Where the word
// is comes from the same kernel's own kallsyms: cpu_tss_rw, and sp2 at 0x14 in a TSS.
// [arch/x86/include/asm/processor.h, struct x86_hw_tss]
struct Kernel {
  const char* version;
  Va entry;
  const char* code;
  std::uint64_t cpu_tss_rw;
  Va store;
  Va stop_pc;
};

constexpr Kernel kKernels[] = {
    {"5.10.0-32-amd64", Va{0xffffffff81a00080},
     "0f 01 f8 65 48 89 24 25 14 60 00 00 eb 12 0f 20 dc 90 90 90 90 90 48 81 e4 ff e7 ff ff "
     "0f 22 dc 65 48 8b 24 25 0c 60 00 00 6a 2b 65 ff 34 25 14 60 00 00 41 53 6a 33 51 50",
     0x6000, Va{0xffffffff81a00083}, Va{0xffffffff81a0008c}},
    {"6.1.0-56-amd64", Va{0xffffffff81c00080},
     "0f 01 f8 65 48 89 24 25 14 60 00 00 eb 12 0f 20 dc 90 90 90 90 90 48 81 e4 ff e7 ff ff "
     "0f 22 dc 65 48 8b 24 25 50 fb 01 00 6a 2b 65 ff 34 25 14 60 00 00 41 53 6a 33 51 50",
     0x6000, Va{0xffffffff81c00083}, Va{0xffffffff81c0008c}},
    {"6.12.95+deb12-amd64", Va{0xffffffff81e00080},
     "f3 0f 1e fa 0f 01 f8 65 48 89 25 85 5f 20 7e eb 12 0f 20 dc 90 90 90 90 90 48 81 e4 ff e7 "
     "ff ff 0f 22 dc 65 48 8b 25 2d 51 23 7e 6a 2b 65 ff 35 60 5f 20 7e 41 53 6a 33 51 50",
     0x6000, Va{0xffffffff81e00087}, Va{0xffffffff81e0008f}},
    // Per-CPU symbols are linked at kernel addresses since 6.15; here at 0x2e11000 above _text.
    {"7.2.13+deb14-amd64", Va{0xffffffff81000080},
     "f3 0f 1e fa 0f 01 f8 65 48 89 25 85 0f e1 02 eb 12 0f 20 dc 90 90 90 90 90 48 81 e4 ff e7 "
     "ff ff 0f 22 dc 65 48 8b 25 65 3f e2 02 6a 2b 65 ff 35 60 0f e1 02 41 53 6a 33 51 50",
     0xffffffff83e11000, Va{0xffffffff81000087}, Va{0xffffffff8100008f}},
};

class DebianKernel : public testing::TestWithParam<Kernel> {};
INSTANTIATE_TEST_SUITE_P(EntryPath, DebianKernel, testing::ValuesIn(kKernels),
                         [](const auto& row) { return "n" + std::to_string(row.index); });

TEST_P(DebianKernel, StoresTheUsersStackPointerInTheTss) {
  CodeMemory kernel = CodeMemory::of_hex(GetParam().entry, GetParam().code);
  const auto store = find_entry_store(kernel, GetParam().entry);
  ASSERT_TRUE(store) << GetParam().version << ": " << store.error().what;
  EXPECT_EQ(store->gs_offset, GetParam().cpu_tss_rw + 0x14) << GetParam().version;
}

TEST_P(DebianKernel, StopsBehindTheStore) {
  CodeMemory kernel = CodeMemory::of_hex(GetParam().entry, GetParam().code);
  const auto store = find_entry_store(kernel, GetParam().entry);
  ASSERT_TRUE(store);
  EXPECT_EQ(store->instruction, GetParam().store) << GetParam().version;
  EXPECT_EQ(store->stop_pc, GetParam().stop_pc) << GetParam().version;
  EXPECT_EQ(store->size_bytes, 8u);
}

// Behind the store comes `jmp` over the switch of page tables (nops where PTI is on).
TEST_P(DebianKernel, StopsLateWhereTheJumpBehindTheStoreLeads) {
  CodeMemory kernel = CodeMemory::of_hex(GetParam().entry, GetParam().code);
  const auto store = find_entry_store(kernel, GetParam().entry);
  ASSERT_TRUE(store);
  EXPECT_EQ(store->late_pcs, std::vector{GetParam().stop_pc + 2 + 0x12}) << GetParam().version;
}

// The same with `jmp` patched to a nop: mov %cr3,%rsp; nops; and; mov %rsp,%cr3.
TEST(EntryPath, StopsLateBehindTheSwitchOfPageTables) {
  const Kernel& kernel_510 = kKernels[0];
  std::string code = kernel_510.code;
  code.replace(code.find("eb 12"), 5, "66 90");
  CodeMemory kernel = CodeMemory::of_hex(kernel_510.entry, code);
  EXPECT_EQ(find_entry_store(kernel, kernel_510.entry)->late_pcs,
            std::vector{kernel_510.stop_pc + 2 + 0x12});
}

TEST(EntryPath, HasNoLateStopWhereTheCodeEndsOtherwise) {
  // mov %rsp,%gs:0x10; ret
  CodeMemory kernel(Va{0x1000}, {0x65, 0x48, 0x89, 0x24, 0x25, 0x10, 0x00, 0x00, 0x00, 0xc3, 0x90,
                                 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
                                 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90});
  EXPECT_EQ(find_entry_store(kernel, Va{0x1000})->late_pcs, std::vector<Va>{});
}

constexpr Va kEntry{0xfffff80000001000};

// swapgs; mov %rsp,%gs:0x10; mov %gs:0x1a8,%rsp; push $0x2b [KPCR.UserRsp of Windows x64]
TEST(EntryPath, FindsTheStoreOfWindows) {
  CodeMemory kernel(kEntry, {0x0f, 0x01, 0xf8, 0x65, 0x48, 0x89, 0x24, 0x25, 0x10, 0x00, 0x00,
                             0x00, 0x65, 0x48, 0x8b, 0x24, 0x25, 0xa8, 0x01, 0x00, 0x00, 0x6a,
                             0x2b, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90});
  EXPECT_EQ(find_entry_store(kernel, kEntry)->gs_offset, 0x10u);
}

// KiSystemCall64Shadow: ...; mov %gs:0x9000,%rsp; btl $1,%gs:0x9018; jb 1f; mov %rsp,%cr3; 1:
TEST(EntryPath, StopsLateOnEitherWayOfABranch) {
  const std::string code =
      "0f 01 f8 65 48 89 24 25 10 90 00 00 65 48 8b 24 25 00 90 00 00 65 0f ba 24 25 18 90 00 00 "
      "01 72 03 0f 22 dc 65 48 8b 24 25 08 90 00 00 6a 2b 90 90 90 90 90 90 90 90 90 90 90 90";
  CodeMemory kernel = CodeMemory::of_hex(kEntry, code);
  const auto store = find_entry_store(kernel, kEntry);
  ASSERT_TRUE(store) << store.error().what;
  EXPECT_EQ(store->gs_offset, 0x9010u);
  EXPECT_EQ(store->late_pcs, (std::vector{kEntry + 0x21, kEntry + 0x24}));
}

// --- KiFastCallEntry

constexpr Va kFastCall{0x80541770};

// mov $0x23,%ecx; push $0x30; pop %fs; mov %ecx,%ds; mov %ecx,%es; mov 0xffdff040,%ecx; mov
// 4(%ecx),%esp; push $0x23; push %edx; pushf; push $2; add $8,%edx; popf; orb $2,1(%esp); push
// $0x1b; push 0xffdf0304; push $0; push %ebp; jmp to where int $0x2e comes, too
constexpr const char* kFastCallCode =
    "b9 23 00 00 00 6a 30 0f a1 8e d9 8e c1 8b 0d 40 f0 df ff 8b 61 04 6a 23 52 9c 6a 02 83 c2 08 "
    "9d 80 4c 24 01 02 6a 1b ff 35 04 03 df ff 6a 00 55 eb 10 90 90 90 90 90 90 90 90 90 90 90 90 "
    "90 90 90 90 90 90 90 90 90 90 90 90 90";

TEST(EntryPath, FindsThePushOfSystemCallReturn) {
  CodeMemory kernel = CodeMemory::of_hex(kFastCall, kFastCallCode);
  const auto read = find_entry_read(kernel, kFastCall);
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_EQ(read->word, Va{0xffdf0304});
  EXPECT_EQ(read->size_bytes, 4u);
  EXPECT_EQ(read->stop_pc, kFastCall + 0x2d);
  EXPECT_EQ(read->advanced, 8u);
  EXPECT_EQ(read->late_pcs, std::vector{kFastCall + 0x32 + 0x10});
}

// ReactOS takes it from where processes have it, and leaves edx alone.
TEST(EntryPath, FindsThePushInOtherCodeThanWindowsOwn) {
  // push $0x23; push %edx; pushf; push $0x1b; push 0x7ffe0304; ret
  CodeMemory kernel = CodeMemory::of_hex(
      kFastCall,
      "6a 23 52 9c 6a 1b ff 35 04 03 fe 7f c3 90 90 90 90 90 90 90 90 90 90 90 90 90 90");
  const auto read = find_entry_read(kernel, kFastCall);
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_EQ(read->word, Va{0x7ffe0304});
  EXPECT_EQ(read->advanced, 0u);
}

TEST(EntryPath, TakesNoOtherPushForIt) {
  // push 0xffdf0300; push %fs:0xffdf0304; ret
  CodeMemory kernel = CodeMemory::of_hex(
      kFastCall,
      "ff 35 00 03 df ff 64 ff 35 04 03 df ff c3 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90");
  EXPECT_EQ(find_entry_read(kernel, kFastCall).error().code, Errc::kNotFound);
}

TEST(EntryPath, WrapsAnOffsetBelowTheBaseModulo2To64) {
  // mov %rsp,%gs:0xfffffffffffff000
  CodeMemory kernel(kEntry, {0x65, 0x48, 0x89, 0x24, 0x25, 0x00, 0xf0, 0xff, 0xff, 0x90, 0x90, 0x90,
                             0x90, 0x90, 0x90, 0x90});
  EXPECT_EQ(find_entry_store(kernel, kEntry)->gs_offset, 0xfffffffffffff000u);
}

TEST(EntryPath, FollowsUnconditionalJumps) {
  // jmp +2; ud2; mov %rsp,%gs:0x10
  CodeMemory kernel(kEntry, {0xeb, 0x02, 0x0f, 0x0b, 0x65, 0x48, 0x89, 0x24, 0x25, 0x10,
                             0x00, 0x00, 0x00, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90});
  EXPECT_EQ(find_entry_store(kernel, kEntry)->instruction, kEntry + 4);
}

TEST(EntryPath, TakesNoLoad) {
  // mov %gs:0x10,%rsp; ret
  CodeMemory kernel(kEntry, {0x65, 0x48, 0x8b, 0x24, 0x25, 0x10, 0x00, 0x00, 0x00, 0xc3, 0x90,
                             0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
                             0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90});
  EXPECT_EQ(find_entry_store(kernel, kEntry).error().code, Errc::kNotFound);
}

TEST(EntryPath, TakesNoStoreWhoseAddressARegisterDecides) {
  // mov %rsp,%gs:0x10(%rax); ret
  CodeMemory kernel(kEntry, {0x65, 0x48, 0x89, 0x60, 0x10, 0xc3, 0x90, 0x90, 0x90, 0x90, 0x90,
                             0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90});
  EXPECT_EQ(find_entry_store(kernel, kEntry).error().code, Errc::kNotFound);
}

TEST(EntryPath, TakesNoStoreThroughAnotherSegment) {
  // mov %rsp,%fs:0x10; ret
  CodeMemory kernel(kEntry, {0x64, 0x48, 0x89, 0x24, 0x25, 0x10, 0x00, 0x00, 0x00, 0xc3, 0x90,
                             0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
                             0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90});
  EXPECT_EQ(find_entry_store(kernel, kEntry).error().code, Errc::kNotFound);
}

// Behind any of these a syscall need not come by: je, call, ret, int3, jmp *%rax; then the store.
TEST(EntryPath, EndsWhereThePathMayFork) {
  for (const std::vector<std::uint8_t>& fork : std::vector<std::vector<std::uint8_t>>{
           {0x74, 0x00}, {0xe8, 0, 0, 0, 0}, {0xc3}, {0xcc}, {0xff, 0xe0}}) {
    std::vector<std::uint8_t> code = fork;
    const std::vector<std::uint8_t> store = {0x65, 0x48, 0x89, 0x24, 0x25, 0x10, 0, 0, 0};
    code.insert(code.end(), store.begin(), store.end());
    code.insert(code.end(), 16, 0x90);
    CodeMemory kernel(kEntry, code);
    EXPECT_FALSE(find_entry_store(kernel, kEntry)) << int{fork.front()};
  }
}

TEST(EntryPath, LeavesAnEndlessLoop) {
  CodeMemory kernel(kEntry, {0xeb, 0xfe, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
                             0x90, 0x90, 0x90, 0x90});
  EXPECT_EQ(find_entry_store(kernel, kEntry).error().code, Errc::kNotFound);
  EXPECT_LT(kernel.reads, 100u);
}

TEST(EntryPath, SaysWhenThePageIsAbsent) {
  CodeMemory kernel(kEntry, {0x90});
  EXPECT_EQ(find_entry_store(kernel, Va{0x5000}).error().code, Errc::kFault);
}

TEST(EntryPath, ReadsAnInstructionThatEndsWithItsPage) {
  // swapgs; mov %rsp,%gs:0x14, and the next page is absent.
  CodeMemory kernel(kEntry + 4084,
                    {0x0f, 0x01, 0xf8, 0x65, 0x48, 0x89, 0x24, 0x25, 0x14, 0x00, 0x00, 0x00});
  EXPECT_EQ(find_entry_store(kernel, kEntry + 4084)->stop_pc, kEntry + 4096);
}

TEST(EntryPath, RefusesBytesThatAreNoInstruction) {
  CodeMemory kernel(kEntry, std::vector<std::uint8_t>(32, 0x06));  // push es: not in 64-bit mode
  EXPECT_EQ(find_entry_store(kernel, kEntry).error().code, Errc::kBadImage);
}

}  // namespace
}  // namespace swat::os::x86
