// Tables of 32-bit kernels, with code of running guests (QEMU's disassembly) and stacks as
// struct pt_regs and the calling convention have them.
#include <gtest/gtest.h>

#include <map>

#include "osmodels/linux/saved_registers.hpp"
#include "osmodels/linux/syscall_dispatch.hpp"
#include "tests/osmodels/memory_fakes.hpp"

namespace swat::os {
namespace {

using Kind = SyscallEntry::Kind;

constexpr KernelLayout kI386{4, 0xc0000000, 4096};
constexpr Va kSysenter{0xc0108400};
constexpr Va kInt80{0xc0108558};
constexpr Va kTable{0xc02720d0};
constexpr Va kInC{0xc0101000};  // do_int80_syscall_32
constexpr Va kRead{0xc0140000};
constexpr Va kWrite{0xc0140100};
constexpr Va kStackTop{0xc1808000};  // aligned to the stack's 8 KiB

class Kernel final : public VirtualMemory {
 public:
  void put(Va at, const std::vector<std::uint8_t>& bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes_[at + i] = std::byte{bytes[i]};
  }
  void put_word(Va at, std::uint32_t word) {
    for (unsigned i = 0; i < 4; ++i) bytes_[at + i] = static_cast<std::byte>(word >> 8 * i);
  }
  Result<> read(Va at, std::span<std::byte> into) override {
    for (std::size_t i = 0; i < into.size(); ++i) {
      const auto byte = bytes_.find(at + i);
      into[i] = byte == bytes_.end() ? std::byte{0x90} : byte->second;
    }
    return {};
  }

 private:
  std::map<Va, std::byte> bytes_;
};

class Cpu final : public GuestView {
 public:
  Architecture architecture() const override { return Architecture::kI386; }
  unsigned vcpu_count() const override { return 1; }
  Result<std::uint64_t> reg(unsigned, std::string_view name) override {
    return registers[std::string(name)];
  }
  Result<X86SystemTables> x86_tables(unsigned) override {
    return fail(Errc::kUnsupported, "no tables");
  }
  PhysicalMemory& ram() override { return ram_; }

  std::map<std::string, std::uint64_t> registers;

 private:
  test::ArrayRam ram_{16};
};

class Dispatch32 : public testing::Test {
 protected:
  Dispatch32() {
    kernel.put_word(kTable + 3 * 4, kRead.value & 0xffffffff);
    kernel.put_word(kTable + 4 * 4, kWrite.value & 0xffffffff);
  }
  // cmp $0x5,%eax; jae; call *table(,%eax,4)
  void load_in_entry() {
    kernel.put(kInt80 + 0x21, {0x3d, 5, 0, 0, 0, 0x0f, 0x83, 0x81, 0, 0, 0,  //
                               0xff, 0x14, 0x85, 0xd0, 0x20, 0x27, 0xc0});
  }
  // mov table(,%eax,4),%eax; call *%eax
  void load_in_c() {
    kernel.put(kInC, {0x8b, 0x04, 0x85, 0xd0, 0x20, 0x27, 0xc0, 0xff, 0xd0});
    symbols = {{kInC, 'T', "do_int80_syscall_32"},
               {kRead, 'T', "__ia32_sys_read"},
               {kWrite, 'T', "__ia32_sys_write"}};
  }
  Result<SyscallDispatch> find() {
    return find_syscall_dispatch(kernel, symbols::SymbolTable(symbols), entries, false, kI386);
  }
  void stand(Va pc, Va sp, std::uint64_t eax) {
    cpu.registers = {{"rip", pc.value}, {"rsp", sp.value}, {"rax", eax}};
  }
  Result<DispatchedSyscall> dispatched(const SyscallDispatch& dispatch) {
    return read_dispatched(cpu, 0, kernel, dispatch, entries);
  }

  Kernel kernel;
  Cpu cpu;
  std::vector<symbols::Symbol> symbols;
  std::vector<SyscallEntry> entries = {{Kind::kInt80, kInt80, "test"},
                                       {Kind::kSysenter, kSysenter, "test"}};
};

TEST_F(Dispatch32, IsKnownWithoutSymbolsByTheEntrysOwnLimit) {
  load_in_entry();
  kernel.put_word(kTable + 5 * 4, kRead.value & 0xffffffff);  // behind the table's end
  const auto dispatch = find();
  ASSERT_TRUE(dispatch) << dispatch.error().what;
  EXPECT_EQ(dispatch->table, kTable);
  EXPECT_EQ(dispatch->word_bytes, 4u);
  EXPECT_FALSE(dispatch->saves_callers);
  EXPECT_EQ(dispatch->handlers[3], kRead);
  EXPECT_EQ(dispatch->handlers[4], kWrite);
  EXPECT_TRUE(dispatch->handlers[5].is_null());
}

// The entry's call has pushed a return address onto the arguments, which pt_regs begins with.
TEST_F(Dispatch32, ReadsTheArgumentsOnTopOfTheStackAtAHandlerThatTheEntryCalls) {
  load_in_entry();
  const auto dispatch = *find();
  const Va sp = kStackTop - 100;
  kernel.put_word(sp, kInt80.value + 0x33);
  for (unsigned i = 0; i < 6; ++i) kernel.put_word(sp + 4 * (i + 1), i + 1);
  stand(kWrite, sp, 4);
  const auto call = dispatched(dispatch);
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_EQ(call->entry, Kind::kInt80);
  EXPECT_EQ(call->number, 4u);
  for (unsigned i = 0; i < 6; ++i) EXPECT_EQ(call->arguments[i], i + 1) << i;
  kernel.put_word(sp, kSysenter.value + 0x63);
  EXPECT_EQ(dispatched(dispatch)->entry, Kind::kSysenter);
  stand(kWrite, sp, 3);  // another handler than the number's: no syscall
  EXPECT_EQ(dispatched(dispatch).error().code, Errc::kNotFound);
}

// bx cx dx si di bp ax ds es fs gs orig_ax ip cs flags sp ss. [arch/x86/include/uapi/asm/ptrace.h]
TEST_F(Dispatch32, ReadsTheCallersRegistersBehindALoadInC) {
  load_in_c();
  const auto dispatch = *find();
  EXPECT_TRUE(dispatch.saves_callers);
  for (const std::uint64_t padding : {0, 8, 16}) {
    const Va pt_regs = kStackTop - padding - 17 * 4;
    for (unsigned i = 0; i < 6; ++i) kernel.put_word(pt_regs + 4 * i, i + 1);
    kernel.put_word(pt_regs + 6 * 4, 0xffffffda);  // ax: -ENOSYS
    kernel.put_word(pt_regs + 11 * 4, 4);          // orig_ax
    kernel.put_word(pt_regs - 4, kSysenter.value + 0x9f);
    stand(kInC + 7, pt_regs - 0x40, kWrite.value);
    const auto call = dispatched(dispatch);
    ASSERT_TRUE(call) << call.error().what;
    EXPECT_EQ(call->entry, Kind::kSysenter);
    EXPECT_EQ(call->number, 4u);
    for (unsigned i = 0; i < 6; ++i) EXPECT_EQ(call->arguments[i], i + 1) << i;
    for (unsigned i = 0; i < 17; ++i) kernel.put_word(pt_regs + 4 * i, 0);
  }
}

// cmp $4,%edx; je write; jmp read: ia32_sys_call, whose second argument is in edx.
TEST_F(Dispatch32, FollowsComparisonsOfEdx) {
  constexpr Va kCompares{0xc0130000};
  kernel.put(kCompares, {0x83, 0xfa, 0x04, 0x0f, 0x84, 0xf7, 0x00, 0x01, 0x00,  //
                         0xe9, 0xf2, 0xff, 0x00, 0x00});
  symbols = {{kCompares, 'T', "ia32_sys_call"},
             {kCompares + 14, 'T', "the_next"},
             {kRead, 'T', "__ia32_sys_read"},
             {kWrite, 'T', "__ia32_sys_write"}};
  const auto dispatch = find();
  ASSERT_TRUE(dispatch) << dispatch.error().what;
  EXPECT_FALSE(dispatch->table);
  EXPECT_TRUE(dispatch->saves_callers);
  EXPECT_EQ(dispatch->handlers[4], kWrite);
  EXPECT_EQ(dispatch->handlers[3], kRead);
}

}  // namespace
}  // namespace swat::os
