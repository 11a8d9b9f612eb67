// The ways of ARM kernels back to user mode: instructions as kernels have them in memory, read with
// QEMU's memsave and disassembled by objdump.
#include <gtest/gtest.h>

#include "memory_fakes.hpp"
#include "osmodels/arm/exit_path.hpp"

namespace swat::os::arm {
namespace {

void put(test::WordMemory& memory, std::uint64_t at, const std::vector<std::uint32_t>& words) {
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const std::uint64_t next = i + 1 < words.size() ? words[i + 1] : 0;
    memory.store(at + i * 4, words[i] | next << 32);
  }
}

// ret_fast_syscall and ret_to_user of 4.19 (v6). 0xc000902c, 0xc00090ac: ldr lr, [r2, #...]!
constexpr std::uint64_t kFast = 0xc0009020;
const std::vector<std::uint32_t> kFastWay = {
    0xee031f10, 0xe1a0200d, 0xe5921048, 0xe5b2e044,  // mov r2, sp; ldr r1, [r2, #72]; ldr lr
    0xe311008f, 0x1a000005, 0xe16ff001, 0xe1821f92,  // tst; bne; msr SPSR_fsxc, r1; strex
    0xe9527ffe, 0xe1a00000, 0xe28dd050, 0xe1b0f00e,  // ldmdb r2, {r1-lr}^; nop; add sp; movs pc, lr
    0xe7f001f2};
constexpr std::uint64_t kSlow = 0xc00090a0;
const std::vector<std::uint32_t> kSlowWay = {
    0xee031f10, 0xe1a0200d, 0xe5921040, 0xe5b2e03c,  // ldr r1, [r2, #64]; ldr lr, [r2, #60]!
    0xe311008f, 0x1a000005, 0xe16ff001, 0xe1821f92,
    0xe9527fff, 0xe1a00000, 0xe28dd048, 0xe1b0f00e,  // ldmdb r2, {r0-lr}^
    0xe7f001f2};

TEST(ArmExitPath, AHandlersResultIsInItsRegisterByTheFastWay) {
  test::WordMemory kernel;
  put(kernel, kFast, kFastWay);
  EXPECT_EQ(restores_result(kernel, Va{0xc000902c}), false);
}

TEST(ArmExitPath, TheSlowWayLoadsWhatHasBeenSaved) {
  test::WordMemory kernel;
  put(kernel, kSlow, kSlowWay);
  EXPECT_EQ(restores_result(kernel, Va{0xc00090ac}), true);
}

TEST(ArmExitPath, OtherCodeIsNoWayBack) {
  test::WordMemory kernel;
  // Of what every function does: ldm sp, {r4-r11, pc}; ldmdb without the user's registers.
  put(kernel, 0xc0008000, std::vector<std::uint32_t>(16, 0xe89daff0));
  put(kernel, 0xc000a000, std::vector<std::uint32_t>(16, 0xe9127fff));
  // ldm sp, {r0-pc}^, which returns from an exception in the kernel.
  put(kernel, 0xc000c000, std::vector<std::uint32_t>(16, 0xe8ddffff));
  for (const std::uint64_t at : {0xc0008000, 0xc000a000, 0xc000c000}) {
    EXPECT_EQ(restores_result(kernel, Va{at}).error().code, Errc::kNotFound) << std::hex << at;
  }
  EXPECT_EQ(restores_result(kernel, Va{0xc0100000}).error().code, Errc::kFault);
}

}  // namespace
}  // namespace swat::os::arm
