#include "daemon/slot_selection.hpp"

#include <gtest/gtest.h>

#include "fake_model.hpp"

namespace swat::daemon {
namespace {

using Runs = std::vector<LoadedModule::Run>;

constexpr Va kApp{0x400000};
constexpr Va kSlots = kApp + 0x4000;
constexpr Va kLibc{0x7f0000000000};
constexpr Va kLibm{0x7f0000100000};
constexpr Va kStub = kApp + 0x1036;  // of an unbound slot

LoadedModule module_of(Va base, const std::string& path, Image image) {
  os::Module module;
  module.range = {base, base + 0x10000};
  module.base = base;
  module.path = path;
  return {module, std::make_shared<const Image>(std::move(image)), true, {}};
}

// A program with five slots, not bound yet; the last is apart from the others.
struct Program {
  Program() {
    Image app;
    app.slots = {
        {0x4000, "malloc"}, {0x4008, "free"}, {0x4010, "sin"}, {0x4018, "puts"}, {0x4100, "plug"}};
    app.slot_runs = {{0, 3}, {4, 4}};
    Image libc;
    libc.exports = {
        {0x1000, "malloc", "", false}, {0x2000, "free", "", false}, {0x3000, "puts", "", false}};
    Image libm;
    libm.exports = {{0x1000, "sin", "", false}};
    view.modules = {module_of(kApp, "/bin/app", std::move(app)),
                    module_of(kLibc, "/lib/libc.so.6", std::move(libc)),
                    module_of(kLibm, "/lib/libm.so.6", std::move(libm))};
    view.memory = std::make_unique<SharedView>(memory);
    for (unsigned slot = 0; slot < 4; ++slot) set_slot(slot, kStub + 16 * slot);
  }
  void set_slot(unsigned slot, Va target) { memory.put_word(kSlots + 8 * slot, target.value); }
  [[nodiscard]] Runs runs(std::vector<std::string> calls) const {
    return wanted_runs(view, view.modules[0], *CallFilter::parse(calls));
  }

  ProcessView view;
  SparseMemory memory;
};

TEST(SlotSelection, TakesAllWhenAllAreWanted) {
  EXPECT_EQ(Program{}.runs({}), (Runs{{0, 3}, {4, 4}}));
}

TEST(SlotSelection, TakesNoneWhenNoneAreWanted) { EXPECT_EQ(Program{}.runs({"none"}), Runs{}); }

TEST(SlotSelection, TakesTheNeighboursTogetherAndTheRestApart) {
  EXPECT_EQ(Program{}.runs({"malloc", "free", "puts"}), (Runs{{0, 1}, {3, 3}}));
}

TEST(SlotSelection, KnowsTheModuleOfAnUnboundSlotByWhoExportsTheName) {
  EXPECT_EQ(Program{}.runs({"libm.so.6!*"}), (Runs{{2, 2}, {4, 4}}));
}

// plug: of a library that is yet to come.
TEST(SlotSelection, TakesASlotThatNobodyExportsYet) {
  EXPECT_EQ(Program{}.runs({"libplug.so!*"}), (Runs{{4, 4}}));
  EXPECT_EQ(Program{}.runs({"libplug.so!other"}), Runs{});
}

TEST(SlotSelection, KnowsTheModuleOfABoundSlotByWhereItLeads) {
  Program p;
  p.set_slot(0, kLibm + 0x5000);  // another malloc
  EXPECT_EQ(p.runs({"libc.so.6!malloc"}), Runs{});
  EXPECT_EQ(p.runs({"libm.so.6!malloc"}), (Runs{{0, 0}}));
}

TEST(SlotSelection, GoesByNameWhereSlotsCannotBeRead) {
  Program p;
  p.memory.lose_page(kSlots);
  EXPECT_EQ(p.runs({"libm.so.6!sin"}), (Runs{{2, 2}}));
}

}  // namespace
}  // namespace swat::daemon
