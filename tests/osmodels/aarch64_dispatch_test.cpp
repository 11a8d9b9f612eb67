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

class Aarch64Dispatch : public testing::Test {
 protected:
  Aarch64Dispatch() {
    for (const Piece& piece : kCode) {
      for (std::size_t i = 0; i < piece.words.size(); i += 2) {
        const std::uint64_t high = i + 1 < piece.words.size() ? piece.words[i + 1] : 0;
        kernel.store((piece.at + i * 4).value, high << 32 | piece.words[i]);
      }
    }
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
    return find_aarch64_dispatch(kernel, symbols::SymbolTable(names), compat, kLayout);
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
  const auto both = find_aarch64_entries(symbols::SymbolTable(names));
  ASSERT_TRUE(both);
  ASSERT_EQ(both->size(), 2u);
  EXPECT_EQ(both->at(0).kind, Kind::kSvc);
  EXPECT_EQ(both->at(0).address, kEntry);
  EXPECT_EQ(both->at(1).kind, Kind::kCompatSvc);
  EXPECT_EQ(both->at(1).address, kCompatEntry);
  forget(kCompatEntry);  // CONFIG_COMPAT is not set
  EXPECT_EQ(find_aarch64_entries(symbols::SymbolTable(names))->size(), 1u);
  forget(kEntry);
  EXPECT_EQ(find_aarch64_entries(symbols::SymbolTable(names)).error().code, Errc::kNotFound);
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
  const auto entries = *find_aarch64_entries(symbols::SymbolTable(names));
  stand_at_load(kCompatTable, 20);
  const ResultWord expected{kPtRegs + 256, kPtRegs, kPtRegs};
  EXPECT_EQ(aarch64_result_word(cpu, 0, dispatches, entries), expected);
  cpu.registers = {{"pc", kEntry.value}, {"x0", kPtRegs.value}};
  EXPECT_EQ(aarch64_result_word(cpu, 0, dispatches, entries), expected);
  cpu.registers["pc"] += 4;
  EXPECT_EQ(aarch64_result_word(cpu, 0, dispatches, entries).error().code, Errc::kNotFound);
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
