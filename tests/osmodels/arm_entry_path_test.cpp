// The entry path of ARM kernels: instructions as the GNU assembler encodes them, in the order in
// which kernels have them (what `x/80i vector_swi` of gdb shows of 3.10, 4.19 and 6.1).
#include <gtest/gtest.h>

#include "memory_fakes.hpp"
#include "osmodels/arm/entry_path.hpp"
#include "osmodels/linux/dispatch_arm.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kEntry = 0xc0013ba0;
constexpr KernelLayout kLayout{4, 0xc0000000};

class Code {
 public:
  explicit Code(std::uint64_t start) : start_(start) {}

  Code& add(std::initializer_list<std::uint32_t> words) {
    words_.insert(words_.end(), words);
    return *this;
  }
  Code& fill(std::size_t until, std::uint32_t word) {
    words_.resize(until, word);
    return *this;
  }
  [[nodiscard]] std::uint64_t end() const { return start_ + words_.size() * 4; }
  void put_into(test::WordMemory& memory) const {
    for (std::size_t i = 0; i < words_.size(); i += 2) {
      const std::uint64_t next = i + 1 < words_.size() ? words_[i + 1] : 0;
      memory.store(start_ + i * 4, words_[i] | next << 32);
    }
  }

 private:
  std::uint64_t start_;  // a multiple of 8
  std::vector<std::uint32_t> words_;
};

// With CONFIG_OABI_COMPAT, on a CPU of v6: 380 handlers.
Code of_3_10() {
  Code code(kEntry);
  code.add(
      {0xe24dd048, 0xe88d1fff, 0xe28d803c, 0xe9486000,  // sub sp; stm sp; add r8; stmdb r8
       0xe14f8000, 0xe58de03c, 0xe58d8040, 0xe58d0044,  // mrs r8, spsr; str lr; str r8; str r0
       0xe3180020, 0x13a0a000, 0x051ea004,              // tst r8; movne sl, #0; ldreq sl, [lr, #-4]
       0xe59fc0ac, 0xe59cc000, 0xee01cf10, 0xf1080080,  // +0x2c: ldr ip, [pc, #172]; ldr ip, [ip]
       0xe1a096ad, 0xe1a09689, 0xe28f809c,              // +0x44: add r8, pc, #156
       0xe3daa4ff, 0x122a7609, 0x159f808c,              // bics sl; eorne r7; ldrne r8, [pc, #140]
       0xe599a000, 0xe92d0030, 0xe31a0c0f, 0x1a000008,  // ldr sl, [r9]; push; tst; bne
       0xe3570f5f, 0xe24fee13, 0x3798f107,  // cmp r7, #380; sub lr, pc; ldrcc pc, [r8, r7, lsl #2]
       0xe28d1008, 0xe3a08000, 0xe357080f, 0xe2270000, 0x2a000c15, 0xea009ec2,  // cmp r7, #0xf0000
       0xe1a01007, 0xe28d0008, 0xeb0007a5, 0xe28fe024, 0xe1a07000, 0xe28d1008,  // bl; add lr, pc
       0xe3570f5f, 0x3891007f, 0x388d0030, 0x3798f107,  // cmp; ldmcc; stmcc; ldrcc pc
       0xe3770001, 0x1affffee, 0xe28dd008, 0xeaffffb4});
  code.fill(0xe0 / 4, 0xe1a00000).add({0xc048e9ac, 0xc0014310});  // cr_alignment, the other table
  return code.fill(0xe8 / 4 + 380, 0xc002e9e4);
}

// 6.1 on a CPU of v7: entered by the code that flushes its branch history; no word of its own.
constexpr std::uint64_t kFlushing = 0xc03001c0;
Code of_6_1() {
  Code code(kFlushing);
  code.add(
      {0xe24dd048, 0xe88d1fff, 0xee078fd5, 0xf57ff06f, 0xea000004,  // ...; b +0x28
       0xe320f000, 0xe320f000, 0xe320f000,                          // nop
       0xe24dd048, 0xe88d1fff, 0xe28d803c, 0xe9486000, 0xe14f8000,  // vector_swi
       0xe1a0900e, 0xe58d903c, 0xe58d8040, 0xe58d0044,              // mov r9, lr; str
       0xee1daf90, 0xe30ac04c, 0xe34cc132, 0xe79aa00c,  // movw ip; movt ip; ldr sl, [sl, ip]
       0xee0daf70, 0xee11cf10, 0xe301a030, 0xe34ca141, 0xe59aa000,  // movw sl; movt sl; ldr sl,
                                                                    // [sl]
       0xe13a000c, 0x1e01af10, 0xf1080080, 0xeb089b81,              // bl, of C code
       0xe3a08051, 0xee038f10, 0xf57ff06f, 0xee1d9f70, 0xe28f80a0, 0xe5897040,
       0xe89d000f,                                                  // +0x88: add r8, pc, #160
       0xe599a000, 0xe92d0030, 0xe31a060f, 0x1a00000b, 0xe1a0a007,  // ldr sl, [r9]; ...; mov sl, r7
       0xe35a0f71, 0x23a0a000, 0xe320f014, 0xe24fef6f,  // cmp sl, #452; movcs sl, #0; csdb; sub lr
       0x3798f10a});                                    // ldrcc pc, [r8, sl, lsl #2]
  return code.fill(0x130 / 4, 0xe320f000).fill(0x130 / 4 + 452, 0xc035cf20);
}

TEST(ArmEntryPath, FindsAWordOfItsOwnAndBothTables) {
  test::WordMemory kernel;
  of_3_10().put_into(kernel);
  const auto path = arm::read_entry_path(kernel, Va{kEntry});
  ASSERT_TRUE(path);
  ASSERT_TRUE(path->literal);
  EXPECT_EQ(path->literal->at, Va{kEntry + 0x2c});
  EXPECT_EQ(path->literal->word, Va{kEntry + 0xe0});
  EXPECT_TRUE(path->looks_at_instruction);
  EXPECT_EQ(path->table, Va{kEntry + 0xe8});
  EXPECT_EQ(path->oabi_table, Va{0xc0014310});
  EXPECT_EQ(path->count, 380u);
  ASSERT_EQ(path->loads.size(), 2u);
  EXPECT_EQ(path->loads[0].at, Va{kEntry + 0x6c});
  EXPECT_EQ(path->loads[1].at, Va{kEntry + 0xac});
  EXPECT_EQ(path->loads[0].number, 7u);
  EXPECT_EQ(path->loads[0].table, 8u);
  EXPECT_EQ(path->loads[0].condition, 3u);  // CC
}

TEST(ArmEntryPath, FollowsTheCodeThatFlushesTheBranchHistory) {
  test::WordMemory kernel;
  of_6_1().put_into(kernel);
  for (const std::uint64_t entry : {kFlushing, kFlushing + 0x20}) {
    const auto path = arm::read_entry_path(kernel, Va{entry});
    ASSERT_TRUE(path);
    EXPECT_FALSE(path->literal);
    EXPECT_FALSE(path->looks_at_instruction);
    EXPECT_EQ(path->table, Va{kFlushing + 0x130});
    EXPECT_FALSE(path->oabi_table);
    EXPECT_EQ(path->count, 452u);
    ASSERT_EQ(path->loads.size(), 1u);
    EXPECT_EQ(path->loads[0].at, Va{kFlushing + 0xb8});
    EXPECT_EQ(path->loads[0].number, 10u);
  }
}

TEST(ArmEntryPath, TheTableOfEachAbiHasNumbersOfItsOwn) {
  test::WordMemory kernel;
  of_3_10().put_into(kernel);
  Code(0xc0014310).fill(380, 0xc0020018).put_into(kernel);
  const auto eabi = find_arm_dispatch(kernel, Va{kEntry}, false, kLayout);
  ASSERT_TRUE(eabi);
  EXPECT_EQ(eabi->handlers.size(), 380u);
  EXPECT_TRUE(eabi->is_handler(20, Va{0xc002e9e4}));
  EXPECT_EQ(eabi->slot(20).start, Va{kEntry + 0xe8 + 80});
  EXPECT_EQ(eabi->slot(20).size(), 4u);
  const auto oabi = find_arm_dispatch(kernel, Va{kEntry}, true, kLayout);
  ASSERT_TRUE(oabi);
  EXPECT_EQ(oabi->slot(0x900014).start, Va{0xc0014310 + 80});
  EXPECT_TRUE(oabi->is_handler(0x900014, Va{0xc0020018}));
  EXPECT_FALSE(oabi->is_handler(20, Va{0xc0020018}));
}

TEST(ArmEntryPath, RefusesATableThatHoldsNoHandlers) {
  test::WordMemory kernel;
  of_3_10().put_into(kernel);
  kernel.store(kEntry + 0xe8 + 800, 0x12345678);
  EXPECT_FALSE(find_arm_dispatch(kernel, Va{kEntry}, false, kLayout));
  EXPECT_FALSE(find_arm_dispatch(kernel, Va{kEntry}, true, kLayout)) << "not in memory";
}

TEST(ArmEntryPath, EndsWithWhateverIsThere) {
  test::WordMemory kernel;
  EXPECT_FALSE(arm::read_entry_path(kernel, Va{kEntry}));
  Code(kEntry).fill(300, 0xeafffffe).put_into(kernel);  // b .
  ASSERT_TRUE(arm::read_entry_path(kernel, Va{kEntry}));
  EXPECT_FALSE(find_arm_dispatch(kernel, Va{kEntry}, false, kLayout));
}

// [arch/arm/include/uapi/asm/unistd.h, __NR_OABI_SYSCALL_BASE]
TEST(ArmEntryPath, ReadsTheNumberInTheCallersInstruction) {
  test::WordMemory user;
  const auto number = [&](std::uint32_t word, std::uint64_t next = 0x8004) {
    user.store(0x8000, word);
    return arm::number_in_instruction(user, Va{next});
  };
  EXPECT_EQ(number(0xef900014), 0x900014u);  // swi 0x900014
  EXPECT_EQ(number(0x0f9f0002), 0x9f0002u);  // swieq 0x9f0002
  EXPECT_EQ(number(0xef000014), 0x1200014u) << "not of that base: no call that there is";
  EXPECT_FALSE(number(0xef000000)) << "EABI";
  EXPECT_FALSE(number(0xdf002702)) << "Thumb: svc 0, before it movs r7, #2";
  EXPECT_FALSE(number(0xe1a00000)) << "no swi";
  EXPECT_FALSE(number(0xef900014, 0x8006)) << "Thumb";
  EXPECT_FALSE(number(0xef900014, 0x123000)) << "not in memory";
}

}  // namespace
}  // namespace swat::os
