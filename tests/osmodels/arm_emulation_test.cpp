// Instructions as the GNU assembler encodes them, with effects as the manual has them.
// [Arm ARM DDI 0406C, A8.8]
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "memory_fakes.hpp"
#include "osmodels/arm/emulation.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kCode = 0x10000;
constexpr std::uint64_t kData = 0x20000;
constexpr std::uint32_t kThumb = 0x20;
constexpr std::uint32_t kUser = 0x10;
constexpr std::uint32_t kCarry = 0x20000000;
constexpr std::uint32_t kZero = 0x40000000;

using Registers = std::map<std::string, std::uint64_t, std::less<>>;

class Vcpu final : public VcpuState {
 public:
  Registers regs;
  Registers written;

  Result<std::uint64_t> reg(std::string_view name) override {
    if (const auto now = written.find(name); now != written.end()) return now->second;
    const auto found = regs.find(name);
    if (found == regs.end()) return fail(Errc::kNotFound, "no register " + std::string(name));
    return found->second;
  }
  Result<> set_reg(std::string_view name, std::uint64_t value) override {
    written[std::string(name)] = value;
    return {};
  }
  Result<> store(Va, std::uint64_t, unsigned) override {
    return fail(Errc::kUnsupported, "nothing that is emulated stores");
  }
};

class ArmEmulation : public testing::Test {
 protected:
  ArmEmulation() {
    for (int i = 0; i <= 12; ++i) {
      vcpu_.regs["r" + std::to_string(i)] = 0x1000 + static_cast<unsigned>(i);
    }
    vcpu_.regs["sp"] = kData + 0x800;
    vcpu_.regs["lr"] = 0x30001;
    vcpu_.regs["cpsr"] = kUser;
    memory_.store(kData, 0x3333444411112220);
    memory_.store(kData + 8, 0x7777888855556665);
    memory_.store(kData + 0x808, 0xaaaa0000bbbb);
  }

  void put(const std::vector<std::uint32_t>& words) {
    for (std::size_t i = 0; i < words.size(); i += 2) {
      const std::uint64_t next = i + 1 < words.size() ? words[i + 1] : 0;
      memory_.store(kCode + i * 4, words[i] | next << 32);
    }
  }
  // Half-words in the order of memory.
  void put_thumb(const std::vector<std::uint16_t>& halves) {
    std::vector<std::uint32_t> words((halves.size() + 1) / 2);
    for (std::size_t i = 0; i < halves.size(); ++i) {
      words[i / 2] |= std::uint32_t{halves[i]} << (i % 2 * 16);
    }
    put(words);
    vcpu_.regs["cpsr"] = vcpu_.regs["cpsr"] | kThumb;
  }
  Result<Va> run() { return emulate(Architecture::kArm, memory_, vcpu_, Va{kCode}, 32); }
  Result<SlotRead> slot() { return read_of_slot(Architecture::kArm, memory_, vcpu_, Va{kCode}); }

  void expect(std::uint32_t word, const Registers& changed, std::uint64_t next = kCode + 4) {
    vcpu_.written.clear();
    put({word});
    const auto done = run();
    ASSERT_TRUE(done) << std::hex << word;
    EXPECT_EQ(*done, Va{next}) << std::hex << word;
    EXPECT_EQ(vcpu_.written, changed) << std::hex << word;
  }
  void expect_thumb(const std::vector<std::uint16_t>& halves, const Registers& changed) {
    vcpu_.written.clear();
    put_thumb(halves);
    const auto done = run();
    ASSERT_TRUE(done) << std::hex << halves[0];
    EXPECT_EQ(*done, Va{kCode + halves.size() * 2 + 1}) << std::hex << halves[0];
    EXPECT_EQ(vcpu_.written, changed) << std::hex << halves[0];
  }

  test::WordMemory memory_;
  Vcpu vcpu_;
};

TEST_F(ArmEmulation, LoadsAWord) {
  vcpu_.regs["r1"] = kData + 8;
  expect(0xe5110008, {{"r0", 0x11112220}});                      // ldr r0, [r1, #-8]
  expect(0xe4910004, {{"r0", 0x55556665}, {"r1", kData + 12}});  // ldr r0, [r1], #4
  vcpu_.regs["r2"] = kData;
  vcpu_.regs["r1"] = 3;
  expect(0xe7923101, {{"r3", 0x77778888}});  // ldr r3, [r2, r1, lsl #2]
  memory_.store(kCode + 8 + 172 - 4, std::uint64_t{0xc048e9ac} << 32);
  expect(0xe59fc0ac, {{"r12", 0xc048e9ac}});  // ldr ip, [pc, #172]
}

TEST_F(ArmEmulation, ALoadOfPcIsABranchThatMayChangeTheInstructionSet) {
  vcpu_.regs["r12"] = kData - 0x50;
  expect(0xe5bcf050, {{"r12", kData}}, 0x11112220);  // ldr pc, [ip, #0x50]!
  vcpu_.regs["r12"] = kData + 8 - 0x50;
  expect(0xe5bcf050, {{"r12", kData + 8}, {"cpsr", kUser | kThumb}}, 0x55556665);
}

TEST_F(ArmEmulation, ExecutesOnlyUnderItsCondition) {
  vcpu_.regs["r1"] = kData;
  expect(0x15910000, {{"r0", 0x11112220}});  // ldrne r0, [r1]
  vcpu_.regs["cpsr"] = kUser | kZero;
  expect(0x15910000, {});
  vcpu_.regs["r8"] = kData;
  vcpu_.regs["r7"] = 0;
  expect(0x3798f107, {}, 0x11112220);  // ldrcc pc, [r8, r7, lsl #2]
  vcpu_.regs["cpsr"] = kUser | kCarry;
  expect(0x3798f107, {});
}

TEST_F(ArmEmulation, MovesAndAdds) {
  expect(0xe24dd048, {{"sp", kData + 0x800 - 72}});  // sub sp, sp, #72
  expect(0xe28fc600, {{"r12", kCode + 8}});          // add ip, pc, #0, 12
  expect(0xe28cca10, {{"r12", 0x1100c}});            // add ip, ip, #16, 20
  expect(0xe3a000ff, {{"r0", 255}});                 // mov r0, #255
  expect(0xe3e00000, {{"r0", 0xffffffff}});          // mvn r0, #0
  expect(0xe30ac04c, {{"r12", 0xa04c}});             // movw ip, #41036
  expect(0xe34cc132, {{"r12", 0xc132100c}});         // movt ip, #49458
  expect(0xe1a04000, {{"r4", 0x1000}});              // mov r4, r0
  expect(0xe320f000, {});                            // nop
}

TEST_F(ArmEmulation, LoadsAWordInThumb) {
  vcpu_.regs["r4"] = kData;
  vcpu_.regs["r1"] = 8;
  expect_thumb({0x68a3}, {{"r3", 0x55556665}});                             // ldr r3, [r4, #8]
  expect_thumb({0x5863}, {{"r3", 0x55556665}});                             // ldr r3, [r4, r1]
  expect_thumb({0xf8d4, 0x3004}, {{"r3", 0x33334444}});                     // ldr.w r3, [r4, #4]
  expect_thumb({0xf854, 0x3b08}, {{"r3", 0x11112220}, {"r4", kData + 8}});  // ldr.w r3, [r4], #8
  vcpu_.regs["r1"] = 1;
  expect_thumb({0xf854, 0x3021}, {{"r3", 0x33334444}});  // ldr.w r3, [r4, r1, lsl #2]
  vcpu_.regs["r4"] = kData + 4;
  expect_thumb({0xf854, 0x3c04}, {{"r3", 0x11112220}});  // ldr.w r3, [r4, #-4]
  vcpu_.regs["sp"] = kData - 8;
  expect_thumb({0x9b04}, {{"r3", 0x55556665}});  // ldr r3, [sp, #16]
  memory_.store(kCode + 8, std::uint64_t{0x12345678} << 32);
  expect_thumb({0x4b02}, {{"r3", 0x12345678}});  // ldr r3, [pc, #8]
}

TEST_F(ArmEmulation, MovesAndAddsInThumb) {
  expect_thumb({0xb086}, {{"sp", kData + 0x800 - 24}});  // sub sp, #24
  expect_thumb({0xb006}, {{"sp", kData + 0x800 + 24}});  // add sp, #24
  expect_thumb({0xaa02}, {{"r2", kData + 0x808}});       // add r2, sp, #8
  expect_thumb({0x4688}, {{"r8", 0x1001}});              // mov r8, r1
  expect_thumb({0xbf00}, {});                            // nop
  expect_thumb({0xf3af, 0x8000}, {});                    // nop.w
}

// ITSTATE 0x08: EQ, one instruction; 0x1c: NE, and one more of NE. [DDI 0406C, table A2-1, A2.5.2]
TEST_F(ArmEmulation, AnItBlockHasTheConditionAndGoesOn) {
  vcpu_.regs["cpsr"] = kUser | 0x0800;
  expect_thumb({0x4688}, {{"cpsr", kUser | kThumb}});
  vcpu_.regs["cpsr"] = kUser | 0x0800 | kZero;
  expect_thumb({0x4688}, {{"r8", 0x1001}, {"cpsr", kUser | kThumb | kZero}});
  vcpu_.regs["cpsr"] = kUser | 0x1c00;
  expect_thumb({0x4688}, {{"r8", 0x1001}, {"cpsr", kUser | kThumb | 0x1800}});
}

TEST_F(ArmEmulation, LeavesTheRestToAStep) {
  vcpu_.regs["r1"] = kData;
  for (const std::uint32_t word : {0xe92d4010U,  // push {r4, lr}
                                   0xe4b10000U,  // ldrt r0, [r1]
                                   0xe5d10000U,  // ldrb r0, [r1]
                                   0xe7110002U,  // ldr r0, [r1, -r2]
                                   0xe4911004U,  // ldr r1, [r1], #4: unpredictable
                                   0xe2500001U,  // subs r0, r0, #1
                                   0xebfffffeU,  // bl .
                                   0xffffffffU}) {
    vcpu_.written.clear();
    put({word});
    EXPECT_FALSE(run()) << std::hex << word;
    EXPECT_TRUE(vcpu_.written.empty()) << std::hex << word;
  }
  vcpu_.regs["r1"] = kData + 2;
  put({0xe5910000});  // ldr r0, [r1]
  EXPECT_FALSE(run()) << "unaligned";
  for (const std::vector<std::uint16_t>& code :
       {std::vector<std::uint16_t>{0xb510}, {0xf854, 0x3e04}, {0xb110}, {0x2300}, {0xde00}}) {
    put_thumb(code);
    EXPECT_FALSE(run()) << std::hex << code[0];
  }
}

// Java state, and big-endian data.
TEST_F(ArmEmulation, KnowsWhatItCannotRead) {
  put({0xe1a04000});
  for (const std::uint32_t state : {0x01000000U, 0x200U}) {
    vcpu_.regs["cpsr"] = kUser | state;
    EXPECT_FALSE(run()) << std::hex << state;
  }
}

TEST_F(ArmEmulation, APltStubCallsWhatItsSlotHolds) {
  vcpu_.regs["r12"] = kData + 8 - 0x50;
  put({0xe5bcf050});  // ldr pc, [ip, #0x50]!
  const auto read = slot();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->at, Va{kData + 8});
  EXPECT_EQ(read->size_bytes, 4u);
  EXPECT_EQ(read->callee, Va{0x55556664});
  EXPECT_EQ(read->return_address, Va{0x30000});
}

TEST_F(ArmEmulation, ALoadedRegisterThatIsBranchedToIsCalled) {
  vcpu_.regs["r4"] = kData + 8;
  put({0xe5943000, 0xe1a00005, 0xe12fff33});  // ldr r3, [r4]; mov r0, r5; blx r3
  auto read = slot();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->callee, Va{0x55556664});
  EXPECT_EQ(read->return_address, Va{kCode + 12});
  put_thumb({0x6823, 0x4628, 0x4798});  // the same in Thumb
  read = slot();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->callee, Va{0x55556664});
  EXPECT_EQ(read->return_address, Va{kCode + 6});
  put_thumb({0x6823, 0x4718});  // ldr r3, [r4]; bx r3: a tail call
  read = slot();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->return_address, Va{0x30000});
}

TEST_F(ArmEmulation, WhatIsNotBranchedToIsReadAsData) {
  vcpu_.regs["r4"] = kData + 8;
  for (const std::uint32_t then : {0xe12fff1eU, 0xebfffffeU, 0xe8bd8010U}) {
    put({0xe5943000, then, 0xe12fff33});  // bx lr; bl; pop {r4, pc}: all before blx r3
    const auto read = slot();
    ASSERT_TRUE(read);
    EXPECT_EQ(read->at, Va{kData + 8});
    EXPECT_FALSE(read->callee) << std::hex << then;
  }
  vcpu_.regs["cpsr"] = kUser | kZero;
  put({0x15943000, 0xe12fff33});  // ldrne r3, [r4], which is not executed
  EXPECT_FALSE(slot());
}

}  // namespace
}  // namespace swat::os
