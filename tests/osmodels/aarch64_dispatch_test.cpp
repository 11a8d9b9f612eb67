// Code as aarch64-linux-gnu-as makes it of do_el0_svc, do_el0_svc_compat and el0_svc_common in the
// shape that compilers give them; addresses as aarch64-linux-gnu-nm prints them.
#include <gtest/gtest.h>

#include <map>

#include "osmodels/aarch64/entry_task.hpp"
#include "osmodels/linux/dispatch_aarch64.hpp"
#include "tests/osmodels/memory_fakes.hpp"

namespace swat::os {
namespace {

using Kind = SyscallEntry::Kind;

constexpr Va kEntry{0xffff800008010000};
constexpr Va kCompatEntry{0xffff800008010040};
constexpr Va kCommon{0xffff800008010080};
constexpr Va kLoad{0xffff800008010094};
constexpr Va kEndOfCode{0xffff8000080100a8};
constexpr Va kTable{0xffff800008a00b18};
constexpr Va kCompatTable{0xffff800008a01b18};
constexpr Va kHandlers{0xffff800008020000};
constexpr Va kPtRegs{0xffff800009003eb0};
constexpr std::uint64_t kNumbers = 300;
constexpr KernelLayout kLayout{8, 0xffff000000000000};

// Three functions, each with where it begins.
struct Piece {
  Va at;
  std::vector<std::uint32_t> words;
};
const Piece kCode[] = {
    {kEntry, {0x90004f83, 0x52803862, 0x912c6063, 0xf9402001, 0x1400001c}},
    {kCompatEntry, {0xb0004f83, 0x912c6063, 0x52803862, 0xf9401c01, 0x1400000c}},
    {kCommon,
     {0xa9be7bfd, 0xaa0003f3, 0x6b02003f, 0x540000a2, 0x2a0103e1, 0xf8617861, 0xaa1303e0,
      0xd63f0020, 0xa8c27bfd, 0xd65f03c0}},
};

class Cpu final : public GuestView {
 public:
  Architecture architecture() const override { return Architecture::kAarch64; }
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

void store_code(test::WordMemory& kernel, const Piece& piece) {
  for (std::size_t i = 0; i < piece.words.size(); i += 2) {
    const std::uint64_t high = i + 1 < piece.words.size() ? piece.words[i + 1] : 0;
    kernel.store((piece.at + i * 4).value, high << 32 | piece.words[i]);
  }
}

class Aarch64Dispatch : public testing::Test {
 protected:
  Aarch64Dispatch() {
    for (const Piece& piece : kCode) store_code(kernel, piece);
    for (std::uint64_t i = 0; i < kNumbers; ++i) {
      const Va handler = kHandlers + i * 64;
      names.push_back({handler, 't', i == 0 ? "__arm64_sys_read" : "handler"});
      kernel.store((kTable + i * 8).value, handler.value);
      kernel.store((kCompatTable + i * 8).value, (kHandlers + (kNumbers - 1 - i) * 64).value);
    }
    names.push_back({kEntry, 'T', "do_el0_svc"});
    names.push_back({kCompatEntry, 'T', "do_el0_svc_compat"});
    names.push_back({kCommon, 't', "el0_svc_common.constprop.0"});
    names.push_back({kEndOfCode, 't', "what_follows"});
  }
  void forget(Va at) {
    std::erase_if(names, [&](const symbols::Symbol& symbol) { return symbol.address == at; });
  }
  [[nodiscard]] Result<SyscallDispatch> find(bool compat = false) {
    const symbols::SymbolTable symbols(names);
    return find_aarch64_dispatch({kernel, symbols, kLayout, {}}, compat);
  }
  [[nodiscard]] Result<std::vector<SyscallEntry>> entries() {
    const symbols::SymbolTable symbols(names);
    return find_aarch64_entries({kernel, symbols, kLayout, {}});
  }
  // As of el0_svc_common, about to load the handler.
  void stand_at_load(Va table, std::uint64_t number) {
    cpu.registers = {{"pc", kLoad.value},
                     {"x1", number},
                     {"x3", table.value},
                     {"x19", kPtRegs.value},
                     {"sp", kPtRegs.value - 32}};
    for (unsigned i = 0; i < 8; ++i) kernel.store((kPtRegs + i * 8).value, 100 + i);
  }

  test::WordMemory kernel;
  Cpu cpu;
  std::vector<symbols::Symbol> names;
};

TEST_F(Aarch64Dispatch, FindsTheTableThatTheEntryNames) {
  const auto dispatch = find();
  ASSERT_TRUE(dispatch) << dispatch.error().what;
  EXPECT_EQ(dispatch->table, kTable);
  EXPECT_FALSE(dispatch->compat);
  EXPECT_EQ(dispatch->handlers[0], kHandlers);
  EXPECT_EQ(dispatch->handlers[kNumbers - 1], kHandlers + (kNumbers - 1) * 64);
  EXPECT_TRUE(dispatch->handlers[kNumbers].is_null());
}

TEST_F(Aarch64Dispatch, OfCompatCallersIsAnotherTable) {
  const auto dispatch = find(true);
  ASSERT_TRUE(dispatch) << dispatch.error().what;
  EXPECT_EQ(dispatch->table, kCompatTable);
  EXPECT_TRUE(dispatch->compat);
  EXPECT_EQ(dispatch->handlers[0], kHandlers + (kNumbers - 1) * 64);
}

TEST_F(Aarch64Dispatch, KnowsTheLoadAndWhatHoldsTheCallersRegisters) {
  const auto dispatch = find();
  ASSERT_TRUE(dispatch) << dispatch.error().what;
  ASSERT_EQ(dispatch->loads.size(), 1u);
  const SyscallDispatch::Load& load = dispatch->loads[0];
  EXPECT_EQ(load.at, kLoad);
  EXPECT_EQ(load.number, "x1");
  EXPECT_EQ(load.table, "x3");
  EXPECT_EQ(load.callers, "x19");
}

TEST_F(Aarch64Dispatch, WithoutTheEntryThereIsNone) {
  forget(kEntry);
  EXPECT_EQ(find().error().code, Errc::kNotFound);
}

TEST_F(Aarch64Dispatch, WordsThatAreNotAllHandlersAreNoTable) {
  kernel.store((kTable + 150 * 8).value, kHandlers.value + 4);
  EXPECT_EQ(find().error().code, Errc::kNotFound);
}

TEST_F(Aarch64Dispatch, EntriesAreTheSymbolsThatThereAre) {
  const auto both = entries();
  ASSERT_TRUE(both);
  ASSERT_EQ(both->size(), 2u);
  EXPECT_EQ(both->at(0).kind, Kind::kSvc);
  EXPECT_EQ(both->at(0).address, kEntry);
  EXPECT_EQ(both->at(1).kind, Kind::kCompatSvc);
  EXPECT_EQ(both->at(1).address, kCompatEntry);
  forget(kCompatEntry);  // CONFIG_COMPAT is not set
  EXPECT_EQ(entries()->size(), 1u);
  forget(kEntry);
  EXPECT_EQ(entries().error().code, Errc::kNotFound);
}

TEST_F(Aarch64Dispatch, ReadsTheCallAtTheLoad) {
  const auto dispatch = find();
  ASSERT_TRUE(dispatch);
  stand_at_load(kTable, 56);
  const auto call = read_aarch64_dispatched(cpu, 0, kernel, *dispatch);
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_EQ(call->entry, Kind::kSvc);
  EXPECT_EQ(call->number, 56u);
  EXPECT_EQ(call->arguments[0], 100u);
  EXPECT_EQ(call->arguments[5], 105u);
}

TEST_F(Aarch64Dispatch, TheTableTellsWhoseCallItIs) {
  const auto native = find();
  const auto compat = find(true);
  ASSERT_TRUE(native && compat);
  stand_at_load(kCompatTable, 20);
  EXPECT_EQ(read_aarch64_dispatched(cpu, 0, kernel, *native).error().code, Errc::kNotFound);
  const auto call = read_aarch64_dispatched(cpu, 0, kernel, *compat);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->entry, Kind::kCompatSvc);
  EXPECT_EQ(call->number, 20u);
}

// offsetof(struct user_pt_regs, pc) is 256, of regs[0] 0.
TEST_F(Aarch64Dispatch, TheResultIsInTheSavedRegisters) {
  const auto compat = find(true);
  ASSERT_TRUE(compat);
  const SyscallDispatch* const dispatches[] = {nullptr, &*compat};
  const auto both = *entries();
  stand_at_load(kCompatTable, 20);
  const ResultWord expected{kPtRegs + 256, kPtRegs, kPtRegs, kPtRegs + 256};
  EXPECT_EQ(aarch64_result_word(cpu, 0, dispatches, both), expected);
  cpu.registers = {{"pc", kEntry.value}, {"x0", kPtRegs.value}};
  EXPECT_EQ(aarch64_result_word(cpu, 0, dispatches, both), expected);
  cpu.registers["pc"] += 4;
  EXPECT_EQ(aarch64_result_word(cpu, 0, dispatches, both).error().code, Errc::kNotFound);
}

// --- until 4.18

constexpr Va kVectors{0xffff800000082000};
constexpr Va kNoTable{0xffff8000001a4000};
constexpr Va kAssemblyTable{0xffff8000001a5000};
constexpr Va kTakesNumber{0xffff800000082010};
constexpr Va kDirectLoad{0xffff800000082028};
constexpr Va kTracedLoad{0xffff800000082040};
constexpr std::uint64_t kCount = 270;
// b over a nop; adrp x20, kNoTable; mov x0, x20; adrp x27, kAssemblyTable; mov w26, w8;
// mov x25, #kCount; ...; ldr x16, [x27, x26, lsl #3]; blr x16; ...; the same load, but br x16;
// ldp x0, x1, [sp]; the same load; blr x16; mov w26, w8
const Piece kAssembly{
    kVectors,
    {0x14000002, 0xd503201f, 0xd0000914, 0xaa1403e0, 0xf000091b, 0x2a0803fa, 0xd28021d9, 0xa9116be0,
     0xeb19035f, 0x54000082, 0xf87a7b70, 0xd63f0200, 0x14000001, 0xf87a7b70, 0xd61f0200, 0xa94007e0,
     0xf87a7b70, 0xd63f0200, 0x2a0803fa}};

class Aarch64Assembly : public testing::Test {
 protected:
  Aarch64Assembly() {
    store_code(kernel, kAssembly);
    kernel.store(kNoTable.value, 0);
    for (std::uint64_t i = 0; i < kCount; ++i) {
      const bool is_spare = i == 42 || (i >= 244 && i < 260);
      kernel.store((kAssemblyTable + i * 8).value, (kHandlers + (is_spare ? 0 : i + 1) * 64).value);
    }
    kernel.store((kAssemblyTable + kCount * 8).value, kHandlers.value);  // of something else
  }
  [[nodiscard]] Aarch64Kernel looked_at() { return {kernel, symbols, kLayout, kVectors}; }

  test::WordMemory kernel;
  Cpu cpu;
  symbols::SymbolTable symbols;
};

TEST_F(Aarch64Assembly, IsFoundBehindTheVectors) {
  const auto dispatch = find_aarch64_dispatch(looked_at(), false);
  ASSERT_TRUE(dispatch) << dispatch.error().what;
  EXPECT_EQ(dispatch->table, kAssemblyTable);
  EXPECT_EQ(dispatch->handlers.size(), kCount);
  EXPECT_EQ(dispatch->handler(0), kHandlers + 64);
  ASSERT_EQ(dispatch->loads.size(), 2u);
  EXPECT_EQ(dispatch->loads[0].at, kDirectLoad);
  EXPECT_EQ(dispatch->loads[1].at, kTracedLoad);
}

TEST_F(Aarch64Assembly, EntryIsWhereTheNumberIsTaken) {
  const auto entries = find_aarch64_entries(looked_at());
  ASSERT_TRUE(entries) << entries.error().what;
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ(entries->front().kind, Kind::kAssemblySvc);
  EXPECT_EQ(entries->front().address, kTakesNumber);
}

TEST_F(Aarch64Assembly, CallersRegistersAreWhereTheyWere) {
  const auto dispatch = find_aarch64_dispatch(looked_at(), false);
  ASSERT_TRUE(dispatch);
  cpu.registers = {{"pc", kDirectLoad.value}, {"x26", 56}, {"x27", kAssemblyTable.value}};
  cpu.registers.insert({{"x0", 7}, {"x5", 9}, {"sp", kPtRegs.value}});
  const auto call = read_aarch64_dispatched(cpu, 0, kernel, *dispatch);
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_EQ(call->number, 56u);
  EXPECT_EQ(call->arguments[0], 7u);
  EXPECT_EQ(call->arguments[5], 9u);
  const SyscallDispatch* const dispatches[] = {&*dispatch, nullptr};
  const ResultWord expected{kPtRegs + 256, kPtRegs, kPtRegs, kPtRegs + 256};
  EXPECT_EQ(aarch64_result_word(cpu, 0, dispatches, {}), expected);
}

TEST_F(Aarch64Assembly, NumbersWithoutACallShareAHandlerOrItIsNoTable) {
  kernel.store((kAssemblyTable + 250 * 8).value, kHandlers.value + 64);
  EXPECT_EQ(find_aarch64_dispatch(looked_at(), false).error().code, Errc::kNotFound);
}

TEST_F(Aarch64Assembly, OfCompatCallersIsNotKnown) {
  EXPECT_EQ(find_aarch64_dispatch(looked_at(), true).error().code, Errc::kNotFound);
}

// kernel_entry's load of __entry_task, twice; of something else once; and an MSR without a load of
// a per-CPU slot before it.
TEST(Aarch64EntryTask, IsTheSlotThatIsLoadedMostOften) {
  const std::uint32_t code[] = {0xd503201f, 0xd5034fdf, 0x90ffff15, 0x910c62b5, 0xd538d094,
                                0xf8746ab5, 0xd5184115, 0xf94006b3, 0x90ffff04, 0x910c6084,
                                0xd538d085, 0xf8656884, 0xd5184104, 0x90ffff04, 0x910c8084,
                                0xd538d085, 0xf8656884, 0xd5184104, 0xf86568c6, 0xd5184106};
  const symbols::KernelImage image{kEntry, std::as_bytes(std::span(code))};
  const std::vector<std::uint64_t> expected = {0xffff800007ff0318, 0xffff800007ff0320};
  EXPECT_EQ(aarch64::entry_task_slots(image), expected);
}

}  // namespace
}  // namespace swat::os
