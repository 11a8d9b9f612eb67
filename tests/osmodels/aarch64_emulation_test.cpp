// Instructions as the GNU assembler encodes them, with effects as the manual has them.
// [Arm ARM DDI 0487, C6.2]
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "memory_fakes.hpp"
#include "osmodels/aarch64/emulation.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kCode = 0x400000;
constexpr std::uint64_t kData = 0x500000;

class Vcpu final : public VcpuState {
 public:
  std::map<std::string, std::uint64_t, std::less<>> regs;
  std::map<std::string, std::uint64_t, std::less<>> written;

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

class Aarch64Emulation : public testing::Test {
 protected:
  Aarch64Emulation() {
    for (int i = 0; i <= 30; ++i) {
      vcpu_.regs["x" + std::to_string(i)] = 0x1000 + static_cast<unsigned>(i);
    }
    vcpu_.regs["sp"] = kData + 0x800;
    vcpu_.regs["cpsr"] = 0;
    memory_.store(kData, 0x1111222233334444);
    memory_.store(kData + 8, 0x5555666677778888);
    memory_.store(kData + 0x800, 0xaaaa);
    memory_.store(kData + 0x808, 0xbbbb);
  }

  void put(const std::vector<std::uint32_t>& words) {
    for (std::size_t i = 0; i < words.size(); i += 2) {
      const std::uint64_t next = i + 1 < words.size() ? words[i + 1] : 0;
      memory_.store(kCode + i * 4, words[i] | next << 32);
    }
  }
  Result<Va> run(std::uint32_t word) {
    put({word});
    return emulate(Architecture::kAarch64, memory_, vcpu_, Va{kCode}, 64);
  }
  using Registers = std::map<std::string, std::uint64_t, std::less<>>;
  void expect(std::uint32_t word, const Registers& changed) {
    vcpu_.written.clear();
    const auto next = run(word);
    ASSERT_TRUE(next) << std::hex << word;
    EXPECT_EQ(*next, Va{kCode + 4}) << std::hex << word;
    EXPECT_EQ(vcpu_.written, changed) << std::hex << word;
  }

  test::WordMemory memory_;
  Vcpu vcpu_;
};

TEST_F(Aarch64Emulation, LoadsOneRegister) {
  vcpu_.regs["x16"] = kData - 0xfb8;
  expect(0xf947de11, {{"x17", 0x1111222233334444}});  // ldr x17, [x16, #0xfb8]
  vcpu_.regs["x3"] = kData;
  vcpu_.regs["x1"] = 1;
  expect(0xf8617861, {{"x1", 0x5555666677778888}});  // ldr x1, [x3, x1, lsl #3]
  vcpu_.regs["x1"] = 0xffffffff00000001;
  expect(0xf8615861, {{"x1", 0x5555666677778888}});  // ldr x1, [x3, w1, uxtw #3]
  vcpu_.regs["x0"] = kData - 8;
  expect(0xb9400802, {{"x2", 0x33334444}});  // ldr w2, [x0, #8]
  vcpu_.regs["x1"] = kData + 8;
  expect(0xf85f8022, {{"x2", 0x1111222233334444}});  // ldur x2, [x1, #-8]
}

TEST_F(Aarch64Emulation, WritesTheBaseBack) {
  vcpu_.regs["x1"] = kData;
  expect(0xf8410422, {{"x1", kData + 16}, {"x2", 0x1111222233334444}});  // ldr x2, [x1], #16
  vcpu_.regs["x1"] = kData + 16;
  expect(0xf85f0c22, {{"x1", kData}, {"x2", 0x1111222233334444}});  // ldr x2, [x1, #-16]!
  // ldp x29, x30, [sp], #32
  expect(0xa8c27bfd, {{"sp", kData + 0x820}, {"x29", 0xaaaa}, {"x30", 0xbbbb}});
}

TEST_F(Aarch64Emulation, LoadsPairsAndLiterals) {
  vcpu_.regs["x5"] = kData;
  expect(0x294110a3, {{"x3", 0x77778888}, {"x4", 0x55556666}});  // ldp w3, w4, [x5, #8]
  memory_.store(kCode + 0x20, 77);
  expect(0x58000107, {{"x7", 77}});  // ldr x7, .+0x20
}

TEST_F(Aarch64Emulation, MovesAndAdds) {
  expect(0xaa0003f3, {{"x19", 0x1000}});           // mov x19, x0
  expect(0x910003fd, {{"x29", kData + 0x800}});    // mov x29, sp
  expect(0xd10103ff, {{"sp", kData + 0x7c0}});     // sub sp, sp, #0x40
  expect(0x91400610, {{"x16", 0x1010 + 0x1000}});  // add x16, x16, #1, lsl #12
  expect(0x90000010, {{"x16", kCode}});            // adrp x16, .
  expect(0xf0ffffe0, {{"x0", kCode - 0x1000}});    // adrp x0, .-0x1000
}

TEST_F(Aarch64Emulation, DoesNothingWhereNothingIsDone) {
  expect(0xd503201f, {});                            // nop
  expect(0xd503245f, {});                            // bti c
  for (const char* name : {"SCTLR", "SCTLR_EL1"}) {  // of QEMU 7.2, of 11.1
    vcpu_.regs[name] = 0x30d0198d;
    expect(0xd503233f, {});                      // paciasp
    vcpu_.regs[name] |= std::uint64_t{1} << 31;  // EnIA
    EXPECT_FALSE(run(0xd503233f));
    vcpu_.regs.erase(name);
  }
}

TEST_F(Aarch64Emulation, TakesADirectBranch) {
  const auto next = run(0x14000004);  // b .+0x10
  ASSERT_TRUE(next);
  EXPECT_EQ(*next, Va{kCode + 0x10});
}

TEST_F(Aarch64Emulation, ForgetsWhereABranchCameFrom) {
  vcpu_.regs["cpsr"] = 0x60000800;  // BTYPE of blr
  expect(0xd503245f, {{"cpsr", 0x60000000}});
}

TEST_F(Aarch64Emulation, LeavesTheRestToAStep) {
  // bl; stp x29, x30, [sp, #-16]!; ldtr; ldrsw; ret; mrs x0, sp_el0; ldr x1, [x1, #8]! (undefined)
  for (const std::uint32_t word : {0x97fffffcu, 0xa9bf7bfdu, 0xf8400841u, 0xb9800041u, 0xd65f03c0u,
                                   0xd5384100u, 0xf8408c21u}) {
    vcpu_.regs["x2"] = vcpu_.regs["x1"] = kData;
    vcpu_.written.clear();
    EXPECT_FALSE(run(word)) << std::hex << word;
    EXPECT_TRUE(vcpu_.written.empty()) << std::hex << word;
  }
}

TEST_F(Aarch64Emulation, LeavesAarch32CodeToAStep) {
  vcpu_.regs["cpsr"] = 0x10;
  EXPECT_FALSE(run(0xd503201f));
}

TEST_F(Aarch64Emulation, ReadsWhatAnUnmappedPageHasAsAFault) {
  vcpu_.regs["x16"] = 0x900000;
  const auto next = run(0xf947de11);
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, Errc::kFault);
}

// adrp x16, ..; ldr x17, [x16, #0xfb8]; add x16, x16, #0xfb8; br x17
TEST_F(Aarch64Emulation, SeesThroughAPltStub) {
  put({0xf947de11, 0x913ee210, 0xd61f0220});
  vcpu_.regs["x16"] = kData - 0xfb8;
  vcpu_.regs["x30"] = 0x404040;
  const auto read = read_of_slot(Architecture::kAarch64, memory_, vcpu_, Va{kCode});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->at, Va{kData});
  EXPECT_EQ(read->size_bytes, 8u);
  EXPECT_EQ(read->callee, Va{0x1111222233334444});
  EXPECT_EQ(read->return_address, Va{0x404040});
}

TEST_F(Aarch64Emulation, SeesACallThroughASlot) {
  put({0xf8617861, 0xaa0003f3, 0xd63f0020});  // ldr x1, [x3, x1, lsl #3]; mov x19, x0; blr x1
  vcpu_.regs["x3"] = kData;
  vcpu_.regs["x1"] = 1;
  const auto read = read_of_slot(Architecture::kAarch64, memory_, vcpu_, Va{kCode});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->callee, Va{0x5555666677778888});
  EXPECT_EQ(read->return_address, Va{kCode + 12});
}

TEST_F(Aarch64Emulation, TakesOtherLoadsForData) {
  put({0xf947de11, 0xd65f03c0, 0xd61f0220});  // ldr x17, [x16, #0xfb8]; ret; br x17
  vcpu_.regs["x16"] = kData - 0xfb8;
  const auto read = read_of_slot(Architecture::kAarch64, memory_, vcpu_, Va{kCode});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->at, Va{kData});
  EXPECT_FALSE(read->callee);
}

}  // namespace
}  // namespace swat::os
