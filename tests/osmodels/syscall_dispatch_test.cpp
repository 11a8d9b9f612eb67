#include "osmodels/linux/syscall_dispatch.hpp"

#include <gtest/gtest.h>

#include <map>

#include "osmodels/linux/saved_registers.hpp"
#include "tests/osmodels/memory_fakes.hpp"

namespace swat::os {
namespace {

using Kind = SyscallEntry::Kind;

constexpr Va kEntry{0xffffffff81a00080};  // entry_SYSCALL_64
constexpr Va kInt80{0xffffffff81a01900};  // and the ways of 32-bit callers, one after the other
constexpr Va kSysenter{0xffffffff81a01700};
constexpr Va kDoSyscall{0xffffffff81900000};  // do_syscall_64
constexpr Va kDoInt80{0xffffffff81900100};    // do_int80_syscall_32
constexpr Va kTable{0xffffffff81e00000};
constexpr Va kCompatTable{0xffffffff81e02000};
constexpr Va kRead{0xffffffff81200000};
constexpr Va kWrite{0xffffffff81200100};
constexpr Va kStackTop{0xffffc90000104000};

// Bytes here and there; the rest is zero within a page that was written to, and else absent.
class Kernel final : public VirtualMemory {
 public:
  void put(Va at, const std::vector<std::uint8_t>& bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      pages_[(at + i).aligned_down(kPage)][(at.value + i) % kPage] = std::byte{bytes[i]};
    }
  }
  void put_word(Va at, std::uint64_t word) {
    std::vector<std::uint8_t> bytes(8);
    std::memcpy(bytes.data(), &word, 8);
    put(at, bytes);
  }
  Result<> read(Va at, std::span<std::byte> into) override {
    for (std::size_t i = 0; i < into.size(); ++i) {
      const auto page = pages_.find((at + i).aligned_down(kPage));
      if (page == pages_.end()) return fail(Errc::kFault, "absent", at.value + i);
      into[i] = page->second[(at.value + i) % kPage];
    }
    return {};
  }

 private:
  static constexpr std::size_t kPage = 4096;
  std::map<Va, std::array<std::byte, kPage>> pages_;
};

class Cpu final : public GuestView {
 public:
  Architecture architecture() const override { return Architecture::kX86_64; }
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

std::vector<std::uint8_t> code_with(std::initializer_list<std::uint8_t> first, Va table) {
  std::vector<std::uint8_t> code = first;
  for (unsigned i = 0; i < 4; ++i) code.push_back(static_cast<std::uint8_t>(table.value >> 8 * i));
  return code;
}

constexpr Va kLoaded = kDoSyscall + 8;  // behind mov table(,%rax,8),%rax
constexpr Va kCompatLoaded = kDoInt80 + 8;

// Reads tables, as kernels from 4.17 to 6.8 do.
struct Guest {
  Guest() {
    kernel.put(kDoSyscall, code_with({0x48, 0x8b, 0x04, 0xc5}, kTable));
    kernel.put(kDoInt80, code_with({0x48, 0x8b, 0x04, 0xc5}, kCompatTable));
    kernel.put(kEntry, std::vector<std::uint8_t>(0x600, 0x90));
    kernel.put_word(kTable, kRead.value);
    kernel.put_word(kTable + 8, kWrite.value);
    kernel.put_word(kTable + 16, kWrite.value + 1);  // behind the table's end: no function there
    kernel.put_word(kCompatTable + 3 * 8, kRead.value);
    kernel.put_word(kCompatTable + 4 * 8, kWrite.value);
    symbols = {{kRead, 'T', "__x64_sys_read"},
               {kWrite, 'T', "__x64_sys_write"},
               {kDoSyscall, 'T', "do_syscall_64"},
               {kDoInt80, 'T', "do_int80_syscall_32"},
               {kEntry, 'T', "entry_SYSCALL_64"},
               {kTable, 'D', "sys_call_table"},
               {kCompatTable, 'D', "ia32_sys_call_table"}};
  }
  void forget(std::string_view name) {
    std::erase_if(symbols, [&](const symbols::Symbol& symbol) { return symbol.name == name; });
  }
  [[nodiscard]] Result<SyscallDispatch> find(bool compat = false) {
    return find_syscall_dispatch(kernel, symbols::SymbolTable(symbols), entries, compat,
                                 kX86_64Layout);
  }
  // The registers that the entry has saved, below `top`.
  void save(Va top, std::uint64_t number, Va return_address) {
    const Va pt_regs = top - 168;
    kernel.put_word(pt_regs - 8, return_address.value);
    const std::pair<unsigned, std::uint64_t> words[] = {
        {32, 0xb9}, {40, 0xb8}, {56, 4},  {64, 6},       {72, 5},    {88, 0xc0},
        {96, 3},    {104, 2},   {112, 1}, {120, number}, {136, 0x33}};
    for (const auto& [offset, value] : words) kernel.put_word(pt_regs + offset, value);
  }
  [[nodiscard]] Result<DispatchedSyscall> dispatched(const SyscallDispatch& dispatch) {
    return read_dispatched(cpu, 0, kernel, dispatch, entries);
  }
  void stand(Va pc, Va sp, std::uint64_t rax) {
    cpu.registers["rip"] = pc.value;
    cpu.registers["rsp"] = sp.value;
    cpu.registers["rax"] = rax;
  }

  Kernel kernel;
  Cpu cpu;
  std::vector<symbols::Symbol> symbols;
  std::vector<SyscallEntry> entries = {{Kind::kSyscall, kEntry, "test"},
                                       {Kind::kSysenter, kSysenter, "test"},
                                       {Kind::kInt80, kInt80, "test"}};
};

// --- Where it is

TEST(SyscallDispatch, IsATableWhereCodeReadsIt) {
  Guest guest;
  const auto dispatch = guest.find();
  ASSERT_TRUE(dispatch) << dispatch.error().what;
  EXPECT_EQ(dispatch->table, kTable);
  ASSERT_EQ(dispatch->loads.size(), 1u);
  EXPECT_EQ(dispatch->loads[0].next, kLoaded);
  EXPECT_EQ(dispatch->loads[0].reg, "rax");
  EXPECT_EQ(dispatch->handlers[0], kRead);
  EXPECT_EQ(dispatch->handlers[1], kWrite);
  EXPECT_TRUE(dispatch->saves_callers);
}

TEST(SyscallDispatch, Of32BitCallersIsAnother) {
  Guest guest;
  const auto dispatch = guest.find(true);
  ASSERT_TRUE(dispatch) << dispatch.error().what;
  EXPECT_EQ(dispatch->table, kCompatTable);
  EXPECT_EQ(dispatch->handlers[3], kRead);
  EXPECT_TRUE(dispatch->handlers[0].is_null());
}

TEST(SyscallDispatch, TakesNoWordForAHandlerThatIsNoFunction) {
  Guest guest;
  EXPECT_TRUE(guest.find()->handlers[2].is_null());
}

TEST(SyscallDispatch, NeedsNoSymbolOfTheTable) {
  Guest guest;
  guest.forget("sys_call_table");
  const auto dispatch = guest.find();
  ASSERT_TRUE(dispatch);
  EXPECT_EQ(dispatch->table, kTable);
}

// call *table(,%rax,8) in the entry's own code.
TEST(SyscallDispatch, IsInTheEntryOfOldKernels) {
  Guest guest;
  guest.forget("do_syscall_64");
  guest.kernel.put(kEntry + 0x70, code_with({0xff, 0x14, 0xc5}, kTable));
  const auto dispatch = guest.find();
  ASSERT_TRUE(dispatch);
  ASSERT_EQ(dispatch->loads.size(), 1u);
  EXPECT_EQ(dispatch->loads[0].next, kEntry + 0x77);
  EXPECT_EQ(dispatch->loads[0].reg, "");
}

// cmp $1,%esi; je write; jmp read. The table is there, and nobody reads it.
TEST(SyscallDispatch, IsNoTableWhereCodeCompares) {
  Guest guest;
  constexpr Va kCompares{0xffffffff81300000};
  guest.kernel.put(kDoSyscall, std::vector<std::uint8_t>(8, 0x90));
  guest.kernel.put(kCompares, {0x83, 0xfe, 0x01, 0x0f, 0x84, 0xf7, 0x00, 0xf0, 0xff, 0xe9, 0xf2,
                               0xff, 0xef, 0xff});
  guest.symbols.push_back({kCompares, 'T', "x64_sys_call"});
  guest.symbols.push_back({kCompares + 14, 'T', "the_next"});
  const auto dispatch = guest.find();
  ASSERT_TRUE(dispatch) << dispatch.error().what;
  EXPECT_FALSE(dispatch->table);
  EXPECT_TRUE(dispatch->loads.empty());
  EXPECT_EQ(dispatch->found_by, "x64_sys_call");
  EXPECT_EQ(dispatch->handlers[1], kWrite);
  EXPECT_EQ(dispatch->handlers[0], kRead);
}

TEST(SyscallDispatch, IsNotKnownWithoutEither) {
  Guest guest;
  guest.kernel.put(kDoSyscall, std::vector<std::uint8_t>(8, 0x90));
  EXPECT_EQ(guest.find().error().code, Errc::kNotFound);
}

TEST(SyscallDispatch, IsNotKnownWithoutSymbols) {
  Guest guest;
  guest.symbols.clear();
  EXPECT_EQ(guest.find().error().code, Errc::kNotFound);
}

// --- What is on its way

TEST(DispatchedSyscall, IsReadOffTheStack) {
  Guest guest;
  const auto dispatch = *guest.find();
  guest.save(kStackTop, 1, kEntry + 0x40);
  guest.stand(kLoaded, kStackTop - 0x120, kWrite.value);
  const auto call = guest.dispatched(dispatch);
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_EQ(call->entry, Kind::kSyscall);
  EXPECT_EQ(call->number, 1u);
  for (unsigned i = 0; i < 6; ++i) EXPECT_EQ(call->arguments[i], i + 1) << i;
}

TEST(DispatchedSyscall, IsReadAtItsHandler) {
  Guest guest;
  const auto dispatch = *guest.find();
  guest.save(kStackTop, 0, kEntry + 0x40);
  guest.stand(kRead, kStackTop - 0x128, 0);
  ASSERT_TRUE(guest.dispatched(dispatch));
  EXPECT_EQ(guest.dispatched(dispatch)->number, 0u);
}

// A kernel that can do FRED leaves two words free on top.
TEST(DispatchedSyscall, IsFoundBelowThePadding) {
  Guest guest;
  const auto dispatch = *guest.find();
  guest.save(kStackTop - 16, 1, kEntry + 0x40);
  guest.stand(kLoaded, kStackTop - 0x140, kWrite.value);
  ASSERT_TRUE(guest.dispatched(dispatch));
}

TEST(DispatchedSyscall, KeepsTheX32BitOfItsNumber) {
  Guest guest;
  const auto dispatch = *guest.find();
  guest.save(kStackTop, 0x40000001, kEntry + 0x40);
  guest.stand(kLoaded, kStackTop - 0x120, kWrite.value);
  EXPECT_EQ(guest.dispatched(dispatch)->number, 0x40000001u);
}

// ftrace reads the table as well, and so may anybody.
TEST(DispatchedSyscall, IsNoneWhereSomebodyElseReadTheTable) {
  Guest guest;
  const auto dispatch = *guest.find();
  guest.save(kStackTop, 1, kEntry + 0x40);
  guest.stand(Va{0xffffffff81222222}, kStackTop - 0x120, kWrite.value);
  EXPECT_EQ(guest.dispatched(dispatch).error().code, Errc::kNotFound);
}

TEST(DispatchedSyscall, IsNoneWhereTheNumberIsAnothers) {
  Guest guest;
  const auto dispatch = *guest.find();
  guest.save(kStackTop, 0, kEntry + 0x40);
  guest.stand(kLoaded, kStackTop - 0x120, kWrite.value);
  EXPECT_EQ(guest.dispatched(dispatch).error().code, Errc::kNotFound);
}

TEST(DispatchedSyscall, IsNoneWithoutAStack) {
  Guest guest;
  const auto dispatch = *guest.find();
  guest.stand(kLoaded, Va{0}, kWrite.value);
  EXPECT_FALSE(guest.dispatched(dispatch));
}

struct CompatRow {
  Va return_address;
  Kind entry;
};

// ebx, ecx, edx, esi, edi, ebp; which way in it was, the code around the return address tells.
TEST(DispatchedSyscall, Of32BitCallersSaysHowTheyEntered) {
  for (const CompatRow& row :
       {CompatRow{kInt80 + 0x60, Kind::kInt80}, CompatRow{kSysenter + 0x90, Kind::kSysenter},
        CompatRow{Va{0xffffffff81234567}, Kind::kInt80}}) {
    Guest guest;
    const auto dispatch = *guest.find(true);
    guest.save(kStackTop, 0xffffffff00000004, row.return_address);
    guest.stand(kCompatLoaded, kStackTop - 0x120, kWrite.value);
    const auto call = guest.dispatched(dispatch);
    ASSERT_TRUE(call) << call.error().what;
    EXPECT_EQ(call->entry, row.entry);
    EXPECT_EQ(call->number, 4u);
    const std::array<std::uint64_t, 6> expected = {0xb8, 0xc0, 3, 2, 1, 0xb9};
    for (unsigned i = 0; i < 6; ++i) EXPECT_EQ(call->arguments[i], expected[i]) << i;
  }
}

// Until 4.16 handlers are plain functions; the number is in rax at the call.
TEST(DispatchedSyscall, OfOldKernelsIsReadOffTheRegisters) {
  Guest guest;
  guest.forget("__x64_sys_read");
  guest.symbols.push_back({kRead, 'T', "sys_read"});
  guest.forget("do_syscall_64");
  guest.kernel.put(kEntry + 0x70, code_with({0xff, 0x14, 0xc5}, kTable));
  const auto dispatch = *guest.find();
  ASSERT_FALSE(dispatch.saves_callers);
  const char* const names[] = {"rdi", "rsi", "rdx", "rcx", "r8", "r9"};
  for (unsigned i = 0; i < 6; ++i) guest.cpu.registers[names[i]] = i + 1;
  guest.stand(kWrite, kStackTop - 0x80, 1);
  const auto call = guest.dispatched(dispatch);
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_EQ(call->number, 1u);
  for (unsigned i = 0; i < 6; ++i) EXPECT_EQ(call->arguments[i], i + 1) << i;
}

}  // namespace
}  // namespace swat::os
