#include <gtest/gtest.h>

#include <iomanip>
#include <map>
#include <sstream>

#include "osmodels/x86/first_instruction.hpp"
#include "tests/osmodels/code_memory.hpp"
#include "tests/osmodels/emulated_cpu.hpp"
#include "tests/osmodels/real_cpu.hpp"

namespace swat::os::x86 {
namespace {

using test::CodeMemory;
using test::EmulatedCpu;
using test::RealCpu;
using Code = std::vector<std::uint8_t>;

// Registers by name; writes keep `bits` bits, as the stub's `P` does.
class FakeVcpu final : public VcpuState {
 public:
  explicit FakeVcpu(unsigned bits) : bits_(bits) {}

  Result<std::uint64_t> reg(std::string_view name) override {
    const auto found = regs.find(std::string(name));
    if (found == regs.end()) return fail(Errc::kNotFound, "no register " + std::string(name));
    return found->second;
  }
  Result<> set_reg(std::string_view name, std::uint64_t value) override {
    regs[std::string(name)] = bits_ == 32 ? value & 0xffffffff : value;
    return {};
  }
  Result<> store(Va at, std::uint64_t value, unsigned size_bytes) override {
    if (!writable) return fail(Errc::kFault, "not there", at.value);
    const std::uint64_t mask = size_bytes == 8 ? ~0ULL : (1ULL << size_bytes * 8) - 1;
    stored[at.value] = value & mask;
    return {};
  }

  std::map<std::string, std::uint64_t> regs;
  std::map<std::uint64_t, std::uint64_t> stored;
  bool writable = true;

 private:
  unsigned bits_;
};

struct Name {
  const char* in64;
  const char* in32;
  unsigned long long user_regs_struct::*field;
};

constexpr Name kNames[] = {
    {"rax", "eax", &user_regs_struct::rax},   {"rbx", "ebx", &user_regs_struct::rbx},
    {"rcx", "ecx", &user_regs_struct::rcx},   {"rdx", "edx", &user_regs_struct::rdx},
    {"rsi", "esi", &user_regs_struct::rsi},   {"rdi", "edi", &user_regs_struct::rdi},
    {"rbp", "ebp", &user_regs_struct::rbp},   {"rsp", "esp", &user_regs_struct::rsp},
    {"r8", nullptr, &user_regs_struct::r8},   {"r9", nullptr, &user_regs_struct::r9},
    {"r10", nullptr, &user_regs_struct::r10}, {"r11", nullptr, &user_regs_struct::r11},
    {"r12", nullptr, &user_regs_struct::r12}, {"r13", nullptr, &user_regs_struct::r13},
    {"r14", nullptr, &user_regs_struct::r14}, {"r15", nullptr, &user_regs_struct::r15},
};

constexpr std::uint64_t kDirectionFlag = 1 << 10;  // [Intel SDM vol. 1, figure 3-8]

std::string hex(const Code& code) {
  std::ostringstream text;
  for (const unsigned byte : code) text << std::hex << std::setw(2) << std::setfill('0') << byte;
  return text.str();
}

template <class Cpu>
user_regs_struct distinct_registers(const Cpu& cpu, unsigned bits) {
  user_regs_struct regs = cpu.start();
  std::uint64_t value = 0x1111'0000'8000'0001;
  for (const Name& name : kNames) {
    if (name.field != &user_regs_struct::rsp) regs.*name.field = bits == 32 ? value >> 32 : value;
    value += 0x0101'0101'0101'0101;
  }
  regs.eflags |= kDirectionFlag;
  return regs;
}

FakeVcpu vcpu_of(const user_regs_struct& regs, unsigned bits) {
  FakeVcpu vcpu(bits);
  for (const Name& name : kNames) {
    const char* key = bits == 32 ? name.in32 : name.in64;
    if (key != nullptr) vcpu.regs[key] = regs.*name.field;
  }
  vcpu.regs["eflags"] = regs.eflags;
  return vcpu;
}

// The shared stack is all 0xa5, so a word that is not was pushed.
template <class Cpu>
void expect_the_same_push(const Cpu& cpu, Va top, unsigned bits,
                          const std::map<std::uint64_t, std::uint64_t>& stored) {
  std::map<std::uint64_t, std::uint64_t> pushed;
  if (top == cpu.stack() - bits / 8) {
    const std::uint64_t word = cpu.word(top, bits / 8);
    if (word != (bits == 32 ? 0xa5a5a5a5 : 0xa5a5a5a5a5a5a5a5)) pushed[top.value] = word;
  }
  EXPECT_EQ(stored, pushed);
}

template <class Cpu>
void expect_as_on_the_cpu(const Code& code, unsigned bits) {
  Cpu cpu;
  if (!cpu.is_there()) GTEST_SKIP() << "no ptrace here, or no emulator";
  const user_regs_struct before = distinct_registers(cpu, bits);
  const auto after = cpu.step(code, before);
  ASSERT_TRUE(after) << "the CPU itself refuses " << hex(code);

  Code padded = code;
  padded.resize(32, 0x90);
  CodeMemory memory(cpu.code(), padded);
  const auto skip = understand(memory, cpu.code(), bits);
  ASSERT_TRUE(skip) << hex(code) << ": " << skip.error().what;
  FakeVcpu vcpu = vcpu_of(before, bits);
  ASSERT_TRUE(skip->apply(vcpu));

  EXPECT_EQ(skip->next.value, after->rip) << hex(code);
  EXPECT_EQ(vcpu.regs["eflags"] & kDirectionFlag, after->eflags & kDirectionFlag) << hex(code);
  const FakeVcpu expected = vcpu_of(*after, bits);
  for (const auto& [name, value] : expected.regs) {
    if (name == "eflags") continue;
    EXPECT_EQ(vcpu.regs[name], value) << hex(code) << ", " << name;
  }
  expect_the_same_push(cpu, Va{after->rsp}, bits, vcpu.stored);
}

class In64BitMode : public testing::TestWithParam<Code> {};
class In32BitMode : public testing::TestWithParam<Code> {};

TEST_P(In64BitMode, DoesWhatTheCpuDoes) { expect_as_on_the_cpu<RealCpu>(GetParam(), 64); }
TEST_P(In32BitMode, DoesWhatTheCpuDoes) { expect_as_on_the_cpu<EmulatedCpu>(GetParam(), 32); }

INSTANTIATE_TEST_SUITE_P(
    FirstInstruction, In64BitMode,
    testing::Values(
        Code{0x50}, Code{0x51}, Code{0x52}, Code{0x53}, Code{0x54}, Code{0x55}, Code{0x56},
        Code{0x57},  // push rax..rdi
        Code{0x41, 0x50}, Code{0x41, 0x51}, Code{0x41, 0x52}, Code{0x41, 0x53}, Code{0x41, 0x54},
        Code{0x41, 0x55}, Code{0x41, 0x56}, Code{0x41, 0x57},        // push r8..r15
        Code{0x48, 0x55}, Code{0xff, 0xf5},                          // push rbp, the long ways
        Code{0xf3, 0x0f, 0x1e, 0xfa}, Code{0xf3, 0x0f, 0x1e, 0xfb},  // endbr64, endbr32
        Code{0x90}, Code{0x66, 0x90}, Code{0x0f, 0x1f, 0x44, 0x00, 0x00},              // nop
        Code{0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00}, Code{0xfc},  // cld
        Code{0x48, 0x89, 0xe5}, Code{0x48, 0x8b, 0xec}, Code{0x49, 0x89, 0xca},        // mov
        Code{0x4c, 0x8b, 0xdc}, Code{0x48, 0x89, 0xff}, Code{0x4d, 0x89, 0xf8},
        Code{0x48, 0x83, 0xec, 0x08}, Code{0x48, 0x83, 0xec, 0x80},  // sub rsp
        Code{0x48, 0x81, 0xec, 0xd8, 0x01, 0x00, 0x00},
        Code{0x48, 0x81, 0xec, 0x00, 0x00, 0x00, 0x80}, Code{0xeb, 0x10}, Code{0xeb, 0xf0},
        Code{0xe9, 0x00, 0x01, 0x00, 0x00},  // jmp
        Code{0xe9, 0x00, 0xff, 0xff, 0xff}, Code{0xf2, 0xe9, 0x00, 0x01, 0x00, 0x00},
        Code{0xe8, 0x00, 0x01, 0x00, 0x00}, Code{0xe8, 0x00, 0xff, 0xff, 0xff}),  // call
    [](const auto& row) { return hex(row.param); });

INSTANTIATE_TEST_SUITE_P(FirstInstruction, In32BitMode,
                         testing::Values(Code{0x50}, Code{0x51}, Code{0x52}, Code{0x53}, Code{0x54},
                                         Code{0x55}, Code{0x56}, Code{0x57},        // push eax..edi
                                         Code{0xf3, 0x0f, 0x1e, 0xfb},              // endbr32
                                         Code{0x90}, Code{0x66, 0x90}, Code{0xfc},  // cld
                                         Code{0x89, 0xe5}, Code{0x8b, 0xec},
                                         Code{0x8b, 0xff},                                // mov
                                         Code{0x83, 0xec, 0x1c}, Code{0x83, 0xec, 0x80},  // sub esp
                                         Code{0x81, 0xec, 0x9c, 0x01, 0x00, 0x00}, Code{0xeb, 0x10},
                                         Code{0xeb, 0xf0}, Code{0xe9, 0x00, 0x01, 0x00, 0x00},
                                         Code{0xe8, 0x00, 0x01, 0x00, 0x00}),
                         [](const auto& row) { return hex(row.param); });

Result<Skip> understand_bytes(const Code& code, unsigned bits) {
  Code padded = code;
  padded.resize(32, 0x90);
  CodeMemory memory(Va{0x401000}, padded);
  return understand(memory, Va{0x401000}, bits);
}

TEST(FirstInstruction, LeavesWhatItDoesNotEmulateToAStep) {
  const Code codes[] = {
      {0x66, 0x50},                    // push ax
      {0x6a, 0x2b},                    // push 0x2b
      {0xff, 0x35, 0, 0, 0, 0},        // push [rip]
      {0x0f, 0xa0},                    // push fs
      {0x48, 0x89, 0x04, 0x24},        // mov [rsp], rax
      {0x48, 0x8b, 0x04, 0x24},        // mov rax, [rsp]
      {0x48, 0xc7, 0xc0, 1, 0, 0, 0},  // mov rax, 1
      {0x89, 0xff},                    // mov edi, edi: clears the upper half
      {0x88, 0xc1},                    // mov cl, al
      {0x8e, 0xd8},                    // mov ds, eax
      {0x0f, 0x22, 0xd8},              // mov cr3, rax
      {0x83, 0xec, 0x08},              // sub esp, 8: clears the upper half
      {0x48, 0x29, 0xc4},              // sub rsp, rax
      {0x48, 0x83, 0xe8, 0x08},        // sub rax, 8
      {0x48, 0x83, 0xc4, 0x08},        // add rsp, 8
      {0x31, 0xc0},                    // xor eax, eax: sets flags
      {0xff, 0x25, 0, 0, 0, 0},
      {0xff, 0xe0},  // jmp [rip]; jmp rax
      {0xc3},
      {0x74, 0x00},
      {0xcc},  // ret, je, int3
      {0x0f, 0x05},
      {0xfd},
      {0xfb},
      {0xf3, 0x90},  // syscall, std, sti, pause
  };
  for (const Code& code : codes) {
    const auto skip = understand_bytes(code, 64);
    ASSERT_FALSE(skip) << hex(code);
    EXPECT_EQ(skip.error().code, Errc::kUnsupported) << hex(code);
  }
}

// CPL 0 only, so not on this CPU. [Intel SDM vol. 2, SWAPGS: GS.base and IA32_KERNEL_GS_BASE]
TEST(FirstInstruction, SwapsTheTwoGsBases) {
  const auto skip = understand_bytes({0x0f, 0x01, 0xf8}, 64);
  ASSERT_TRUE(skip);
  FakeVcpu vcpu(64);
  vcpu.regs = {{"gs_base", 0x7f00}, {"k_gs_base", 0xffff888000000000}};
  ASSERT_TRUE(skip->apply(vcpu));
  EXPECT_EQ(vcpu.regs["gs_base"], 0xffff888000000000u);
  EXPECT_EQ(vcpu.regs["k_gs_base"], 0x7f00u);
}

// [Intel SDM vol. 2, CLAC: EFLAGS.AC, bit 18]
TEST(FirstInstruction, ClearsTheAlignmentCheckOnly) {
  const auto skip = understand_bytes({0x0f, 0x01, 0xca}, 64);
  ASSERT_TRUE(skip);
  FakeVcpu vcpu(64);
  vcpu.regs = {{"eflags", 0x40646}};
  ASSERT_TRUE(skip->apply(vcpu));
  EXPECT_EQ(vcpu.regs["eflags"], 0x646u);
}

TEST(FirstInstruction, MovesNoStackPointerWhenThePushFaults) {
  const auto skip = understand_bytes({0x55}, 64);
  ASSERT_TRUE(skip);
  FakeVcpu vcpu(64);
  vcpu.regs = {{"rsp", 0x7000}, {"rbp", 1}};
  vcpu.writable = false;
  EXPECT_FALSE(skip->apply(vcpu));
  EXPECT_EQ(vcpu.regs["rsp"], 0x7000u);
}

// A 32-bit program on a 64-bit guest: that stub has no register "esp".
TEST(FirstInstruction, StoresNothingWhereTheRegistersHaveOtherNames) {
  const auto skip = understand_bytes({0x55}, 32);
  ASSERT_TRUE(skip);
  FakeVcpu vcpu(64);
  vcpu.regs = {{"rsp", 0x7000}, {"rbp", 1}};
  EXPECT_FALSE(skip->apply(vcpu));
  EXPECT_TRUE(vcpu.stored.empty());
}

TEST(FirstInstruction, SaysWhenThePageIsAbsent) {
  CodeMemory memory(Va{0x401000}, {0x55});
  EXPECT_EQ(understand(memory, Va{0x500000}, 64).error().code, Errc::kFault);
}

}  // namespace
}  // namespace swat::os::x86
