#include "daemon/call_resolver.hpp"

#include <gtest/gtest.h>

#include "fake_model.hpp"

namespace swat::daemon {
namespace {

using Code = std::vector<std::uint8_t>;

constexpr Va kApp{0x400000};
constexpr Va kSlots = kApp + 0x4000;  // memcpy, memmove, puts
constexpr Va kLibc{0x7f0000000000};
constexpr Va kPuts = kLibc + 0x1000;
constexpr Va kMemcpy = kLibc + 0x2000;  // and memmove
constexpr Va kReturn = kApp + 0x1105;
constexpr Va kStub = kApp + 0x1040;

LoadedModule module_of(Va base, const std::string& path, Image image) {
  os::Module module;
  module.range = {base, base + 0x10000};
  module.base = base;
  module.path = path;
  return {module, std::make_shared<const Image>(std::move(image)), true, {}};
}

// A program that calls libc through three slots.
struct Program {
  Program() {
    Image app;
    app.slots = {{0x4000, "memcpy"}, {0x4008, "memmove"}, {0x4010, "puts"}};
    app.slot_runs = {{0, 2}};
    Image libc;
    libc.exports = {{0x1000, "puts", "", false},
                    {0x2000, "memcpy", "", false},
                    {0x2000, "memmove", "", false},
                    {0x3000, "strlen", "", true}};
    view.modules.push_back(module_of(kApp, "/bin/app", std::move(app)));
    view.modules.push_back(module_of(kLibc, "/lib/libc.so.6", std::move(libc)));
    set_slot(0, kMemcpy);
    set_slot(1, kMemcpy);
    set_slot(2, kPuts);
  }
  void set_slot(unsigned index, Va target) { memory.put_word(kSlots + 8 * index, target.value); }
  // The code that ends at kReturn.
  void put_call(const Code& code) { memory.put(kReturn - code.size(), code); }
  [[nodiscard]] std::optional<Call> call(Va pc, std::optional<Va> return_address = kReturn) {
    CallSite site{};
    site.watch = kSlots;
    site.pc = pc;
    site.return_address = return_address;
    return resolve_call(view, memory, site);
  }

  ProcessView view;
  SparseMemory memory;
};

TEST(CallResolver, NamesTheFunctionThatASlotLeadsTo) {
  Program p;
  const auto call = p.call(kPuts);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->function, "puts");
  EXPECT_EQ(call->address, kPuts);
  EXPECT_EQ(call->module, "libc.so.6");
  EXPECT_EQ(call->caller_module, "app");
}

TEST(CallResolver, KnowsNoCallerWithoutAReturnAddress) {
  Program p;
  EXPECT_EQ(p.call(kPuts, std::nullopt)->caller_module, "");
}

// `mov slot(%rip),%rax`: the vCPU stands at the next instruction, where no slot leads.
TEST(CallResolver, TakesNoLoadForACall) {
  Program p;
  EXPECT_FALSE(p.call(kApp + 0x1234));
  EXPECT_FALSE(p.call(kPuts + 1));
}

// --- Other names

// kernel32's HeapAlloc is a forwarder, and ordinals have no names: the callee's module tells.
TEST(CallResolver, NamesWhatAPeModulesSlotLeadsToAsItsOwnerDoes) {
  Program p;
  Image app;
  app.slots = {{0x4000, "HeapAlloc"}, {0x4008, "#12"}, {0x4010, "puts"}};
  app.slot_runs = {{0, 2}};
  app.imports_by_other_names = true;
  p.view.modules[0] = module_of(kApp, "/bin/app", std::move(app));
  p.set_slot(0, kMemcpy);
  p.set_slot(1, kLibc + 0x4000);  // nothing is exported there
  EXPECT_EQ(p.call(kMemcpy)->function, "memcpy|memmove");
  EXPECT_EQ(p.call(kPuts)->function, "puts");
  EXPECT_EQ(p.call(kLibc + 0x4000)->function, "#12");
}

// --- Lazy binding

TEST(CallResolver, GoesOnFromALazySlotsOwnStubToTheFunction) {
  Program p;
  p.set_slot(2, kStub + 6);
  const auto call = p.call(kStub + 6);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->function, "puts");
  EXPECT_EQ(call->address, kPuts);
  EXPECT_EQ(call->module, "libc.so.6");
}

TEST(CallResolver, FollowsASlotThatHasBeenBound) {
  Program p;
  p.set_slot(2, kStub + 6);
  ASSERT_TRUE(p.call(kStub + 6));
  p.set_slot(2, kPuts);
  const auto call = p.call(kPuts);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->function, "puts");
}

// Which of two libraries ld.so will take is not ours to say.
TEST(CallResolver, NamesNoModuleWhereTwoExportTheName) {
  Program p;
  Image other;
  other.exports = {{0x500, "puts", "", false}};
  p.view.modules.push_back(module_of(kLibc + 0x100000, "/lib/libother.so", std::move(other)));
  p.set_slot(2, kStub + 6);
  const auto call = p.call(kStub + 6);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->function, "puts");
  EXPECT_NE(call->module, "libc.so.6");
  EXPECT_NE(call->module, "libother.so");
}

// An IFUNC's value is its resolver's address, which nobody calls.
TEST(CallResolver, GivesNoAddressForALazyIfunc) {
  Program p;
  Image app;
  app.slots = {{0x4000, "strlen"}};
  app.slot_runs = {{0, 0}};
  p.view.modules[0] = module_of(kApp, "/bin/app", std::move(app));
  p.set_slot(0, kStub + 6);
  const auto call = p.call(kStub + 6);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->function, "strlen");
  EXPECT_NE(call->address, kLibc + 0x3000);
}

// --- Two imports that lead to one address

TEST(CallResolver, NamesBothWhereNothingTells) {
  Program p;
  EXPECT_EQ(p.call(kMemcpy, std::nullopt)->function, "memcpy|memmove");
}

TEST(CallResolver, NamesBothWhereTheCallersCodeIsNoSuchCall) {
  Program p;
  p.put_call({0x90, 0x90, 0x90, 0x90, 0xff, 0xd0});  // call *%rax
  EXPECT_EQ(p.call(kMemcpy)->function, "memcpy|memmove");
}

struct Stub {
  const char* name;
  Code code;  // its last four bytes become the distance to the slot of memmove
};

const Stub kStubs[] = {{"plain", {0xff, 0x25, 0, 0, 0, 0}},
                       {"endbr64", {0xf3, 0x0f, 0x1e, 0xfa, 0xff, 0x25, 0, 0, 0, 0}},
                       {"endbr64 and bnd", {0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 0, 0, 0, 0}},
                       {"bnd", {0xf2, 0xff, 0x25, 0, 0, 0, 0}}};

Code with_distance(Code code, std::uint64_t distance) {
  for (unsigned i = 0; i < 4; ++i) {
    code[code.size() - 4 + i] = static_cast<std::uint8_t>(distance >> (8 * i));
  }
  return code;
}

TEST(CallResolver, TellsThemApartByThePltStubThatWasCalled) {
  for (const Stub& stub : kStubs) {
    Program p;
    p.put_call(with_distance({0x90, 0xe8, 0, 0, 0, 0}, kStub - kReturn));
    p.memory.put(kStub, with_distance(stub.code, kSlots + 8 - (kStub + stub.code.size())));
    p.memory.put(kStub + stub.code.size(), Code(16, 0x90));
    EXPECT_EQ(p.call(kMemcpy)->function, "memmove") << stub.name;
  }
}

TEST(CallResolver, TellsThemApartByTheSlotThatWasCalled) {
  Program p;
  p.put_call(with_distance({0xff, 0x15, 0, 0, 0, 0}, kSlots + 8 - kReturn));
  EXPECT_EQ(p.call(kMemcpy)->function, "memmove");
}

TEST(SlotOfCall, ReadsAStubThatEndsWithItsPage) {
  SparseMemory memory;
  const Va stub = kApp + 0x1ff8;
  memory.put(kReturn - 6, with_distance({0x90, 0xe8, 0, 0, 0, 0}, stub - kReturn));
  memory.put(stub, with_distance({0xff, 0x25, 0, 0, 0, 0}, kSlots - (stub + 6)));
  memory.put(stub + 6, {0x66, 0x90});
  const auto slot = slot_of_call(memory, kReturn);
  ASSERT_TRUE(slot) << slot.error().what;
  EXPECT_EQ(*slot, kSlots);
}

// mov 0x2ea3(%rip),%rax, as GNU as assembles it.
TEST(AddressOfLoad, IsWhatTheInstructionBeforeHasRead) {
  SparseMemory memory;
  memory.put(kReturn - 7, {0x48, 0x8b, 0x05, 0xa3, 0x2e, 0x00, 0x00});
  const auto loaded = address_of_load(memory, kReturn);
  ASSERT_TRUE(loaded) << loaded.error().what;
  EXPECT_EQ(*loaded, kReturn + 0x2ea3);
  EXPECT_EQ(address_of_load(memory, Va{0x5000}).error().code, Errc::kFault);
}

TEST(SlotOfCall, ReadsACallThatBeginsWithItsPage) {
  SparseMemory memory;
  const Va after = kApp + 0x2005;
  memory.put(after - 5, with_distance({0xe8, 0, 0, 0, 0}, kStub - after));
  memory.put(kStub, with_distance({0xff, 0x25, 0, 0, 0, 0}, kSlots - (kStub + 6)));
  memory.put(kStub + 6, Code(10, 0x90));
  const auto slot = slot_of_call(memory, after);
  ASSERT_TRUE(slot) << slot.error().what;
  EXPECT_EQ(*slot, kSlots);
}

// --- Tail calls

TEST(IsCalledFrom, TellsACallFromAJump) {
  Program p;
  p.put_call(with_distance({0xe8, 0, 0, 0, 0}, kStub - kReturn));
  p.memory.put(kStub, with_distance({0xff, 0x25, 0, 0, 0, 0}, kSlots - (kStub + 6)));
  p.memory.put(kStub + 6, Code(10, 0x90));
  EXPECT_EQ(is_called_from(p.memory, kReturn, kMemcpy), true);
  EXPECT_EQ(is_called_from(p.memory, kReturn, kPuts), false);
  p.put_call(with_distance({0xff, 0x15, 0, 0, 0, 0}, kSlots + 16 - kReturn));
  EXPECT_EQ(is_called_from(p.memory, kReturn, kPuts), true);
  EXPECT_EQ(is_called_from(p.memory, kReturn, kMemcpy), false);
}

TEST(IsCalledFrom, KnowsDirectCalls) {
  Program p;
  p.put_call(with_distance({0x90, 0xe8, 0, 0, 0, 0}, kApp + 0x1200 - kReturn));
  p.memory.put(kApp + 0x1200, Code(16, 0x90));
  EXPECT_EQ(is_called_from(p.memory, kReturn, kApp + 0x1200), true);
  EXPECT_EQ(is_called_from(p.memory, kReturn, kPuts), false);
}

TEST(IsCalledFrom, CannotTellWhereAPointerLed) {
  Program p;
  p.put_call({0x90, 0x90, 0x90, 0x90, 0xff, 0xd0});  // call *%rax
  EXPECT_EQ(is_called_from(p.memory, kReturn, kPuts).error().code, Errc::kNotFound);
  EXPECT_EQ(is_called_from(p.memory, Va{2}, kPuts).error().code, Errc::kFault);
}

TEST(SlotOfCall, KnowsNoCallBeforeAnAddressThatNobodyReturnsTo) {
  SparseMemory memory;
  memory.put(kApp, Code(64, 0x90));
  EXPECT_EQ(slot_of_call(memory, kApp + 32).error().code, Errc::kNotFound);
  EXPECT_EQ(slot_of_call(memory, Va{0x5000}).error().code, Errc::kFault);
  EXPECT_EQ(slot_of_call(memory, Va{2}).error().code, Errc::kFault);
}

// --- The callee's page was absent: PC is in the kernel, CR2 is the callee.

TEST(CallResolver, FindsTheCalleeInCr2WhenItsPageIsAbsent) {
  Program p;
  CallSite site{};
  site.watch = kSlots;
  site.pc = Va{0xffffffff81e01234};
  site.fault_address = kPuts;
  site.in_kernel = true;
  const auto call = resolve_call(p.view, p.memory, site);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->function, "puts");
  site.fault_address = kPuts + 8;
  EXPECT_FALSE(resolve_call(p.view, p.memory, site));
}

// After dlclose and dlopen an address belongs to another function.
TEST(CallResolver, TrustsNoSlotThatLeadsElsewhereByNow) {
  Program p;
  p.set_slot(0, kPuts);
  p.set_slot(2, kMemcpy);
  ASSERT_EQ(p.call(kPuts)->function, "memcpy");
  p.set_slot(0, kMemcpy);
  p.set_slot(2, kPuts);
  EXPECT_EQ(p.call(kPuts)->function, "puts");
}

// Another vCPU has bound the slot between this one's jump and its stop.
TEST(CallResolver, RemembersWhereASlotLedAMomentAgo) {
  Program p;
  p.set_slot(2, kStub + 6);
  ASSERT_TRUE(p.call(kStub + 6));
  p.set_slot(2, kPuts);
  ASSERT_TRUE(p.call(kPuts));
  EXPECT_EQ(p.call(kStub + 6)->function, "puts");
}

// --- What need not be there

TEST(CallResolver, KnowsNoCallThroughSlotsOfNoModule) {
  Program p;
  CallSite site{};
  site.pc = kPuts;
  for (const Va watch : {Va{0x1000}, kSlots + 8, kLibc}) {
    site.watch = watch;
    EXPECT_FALSE(resolve_call(p.view, p.memory, site)) << watch.value;
  }
}

TEST(CallResolver, KnowsNoCallThroughAModuleThatIsNotRead) {
  Program p;
  p.view.modules[0].image = nullptr;
  EXPECT_FALSE(p.call(kPuts));
}

TEST(CallResolver, KnowsNoCallWhenTheSlotsCannotBeRead) {
  Program p;
  p.memory.lose_page(kSlots);
  EXPECT_FALSE(p.call(kPuts));
}

// A program may write another value before each call, for as long as it likes.
TEST(CallResolver, BoundsWhatItRemembersOfAHostileProgram) {
  Program p;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    p.set_slot(0, Va{0x10000 + i});
    ASSERT_TRUE(p.call(Va{0x10000 + i}));
  }
  EXPECT_LT(p.view.modules[0].slots_by_target.size(), 1000u);
}

}  // namespace
}  // namespace swat::daemon
