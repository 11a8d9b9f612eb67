#include "daemon/function_names.hpp"

#include <gtest/gtest.h>

#include "fake_model.hpp"

namespace swat::daemon {
namespace {

constexpr Va kApp{0x555500000000};
constexpr Va kLibc{0x7f0000000000};
constexpr std::uint64_t kBytes = 0x10000;
constexpr std::uint64_t kStub = 0x1020;  // of the app: jmp *slot of memcpy
constexpr std::uint64_t kSlots = 0x4000;

ImageExport exported(std::uint64_t offset, const char* name, bool is_default = true) {
  return {offset, name, "", false, is_default};
}
ImageExport ifunc(std::uint64_t offset, const char* name) { return {offset, name, "", true, true}; }

// An application that imports, and a C library: a process as ld.so leaves it, slots not bound yet.
struct Process {
  Process() {
    Image app;
    app.exports = {exported(0x1100, "main")};
    app.slots = {{kSlots, "memcpy"},
                 {kSlots + 8, "memmove"},
                 {kSlots + 16, "strtoul"},
                 {kSlots + 24, "gettimeofday"}};
    add(kApp, "/bin/app", std::move(app));
    Image libc;
    libc.exports = {exported(0x2000, "__libc_malloc"), exported(0x2000, "malloc"),
                    exported(0x2100, "cfree", false),  exported(0x2100, "free"),
                    exported(0x2200, "_IO_putc"),      exported(0x2200, "__putc"),
                    exported(0x2300, "strtoul"),       exported(0x2300, "strtoull"),
                    exported(0x2400, "old", false),    ifunc(0x3000, "memcpy"),
                    ifunc(0x3010, "memmove"),          ifunc(0x3020, "gettimeofday")};
    libc.slots = {{kSlots, "memcpy"}};
    add(kLibc, "/lib/libc.so.6", std::move(libc));
    for (const LoadedModule& loaded : view.modules) {
      for (const ImageSlot& slot : loaded.image->slots) {
        memory.put_word(loaded.module.base + slot.offset, (loaded.module.base + 0x1026).value);
      }
      // push $0; jmp PLT0
      memory.put(loaded.module.base + 0x1026, {0x68, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0});
    }
    // jmp *disp(%rip)
    constexpr auto kDisplacement = static_cast<std::uint32_t>(kSlots - (kStub + 6));
    memory.put(kApp + kStub, {0xff, 0x25, kDisplacement & 0xff, kDisplacement >> 8, 0, 0});
    functions.emplace(view, images);
  }

  void add(Va base, const char* path, Image image) {
    LoadedModule loaded{{{base, base + kBytes}, base, path, 1},
                        std::make_shared<const Image>(std::move(image)),
                        true,
                        {}};
    images.push_back(
        std::make_shared<const ImageFunctions>(loaded.image, loaded.module.name(), wanted));
    view.modules.push_back(std::move(loaded));
  }

  void bind(Va module, std::uint64_t slot, Va target) {
    memory.put_word(module + slot, target.value);
  }
  std::string name(Va at, Va from = {}) {
    const auto found = functions->find(view, memory, at, from);
    return found == nullptr ? "-" : found->module + "!" + found->name;
  }

  CallFilter wanted;
  SparseMemory memory;
  ProcessView view;
  ProcessFunctions::Images images;
  std::optional<ProcessFunctions> functions;
};

TEST(FunctionNames, AreThoseAProgramOfTodayWouldUse) {
  Process p;
  EXPECT_EQ(p.name(kLibc + 0x2000), "libc.so.6!malloc");
  EXPECT_EQ(p.name(kLibc + 0x2100), "libc.so.6!free");
  EXPECT_EQ(p.name(kLibc + 0x2200), "libc.so.6!_IO_putc|__putc");
  EXPECT_EQ(p.name(kLibc + 0x2400), "libc.so.6!old");
  EXPECT_EQ(p.name(kApp + 0x1100), "app!main");
}

TEST(FunctionNames, NoneBeginsElsewhere) {
  Process p;
  EXPECT_EQ(p.name(kLibc + 0x2001), "-");
  EXPECT_EQ(p.name(kLibc + 0x3000), "-");  // a resolver, which nobody calls
  EXPECT_EQ(p.name(Va{0x1000}), "-");
}

TEST(FunctionNames, OfSeveralTheOneThatTheCallerImports) {
  Process p;
  EXPECT_EQ(p.name(kLibc + 0x2300), "libc.so.6!strtoul|strtoull");
  EXPECT_EQ(p.name(kLibc + 0x2300, kApp + 0x1234), "libc.so.6!strtoul");
  EXPECT_EQ(p.name(kLibc + 0x2300, kLibc + 0x2005), "libc.so.6!strtoul|strtoull");
}

TEST(FunctionNames, AnIfuncIsWhereItsSlotsLead) {
  Process p;
  EXPECT_TRUE(p.functions->has_unbound());
  EXPECT_FALSE(p.functions->read_slots(p.view, p.memory));  // all of them lazy
  p.bind(kApp, kSlots, kLibc + 0x5000);
  EXPECT_TRUE(p.functions->read_slots(p.view, p.memory));
  EXPECT_FALSE(p.functions->read_slots(p.view, p.memory));
  EXPECT_EQ(p.name(kLibc + 0x5000), "libc.so.6!memcpy");
  EXPECT_TRUE(p.functions->has_unbound());
}

TEST(FunctionNames, ALibrarysOwnSlotsTellToo) {
  Process p;
  p.bind(kLibc, kSlots, kLibc + 0x5000);
  p.functions->read_slots(p.view, p.memory);
  EXPECT_EQ(p.name(kLibc + 0x5000), "libc.so.6!memcpy");
  EXPECT_EQ(p.name(kLibc + 0x1026), "-");  // a stub, that of others
}

// memcpy and memmove are one function on many CPUs.
TEST(FunctionNames, TwoIfuncsMayLeadToOnePlace) {
  Process p;
  p.bind(kApp, kSlots, kLibc + 0x5000);
  p.functions->read_slots(p.view, p.memory);
  EXPECT_EQ(p.name(kLibc + 0x5000), "libc.so.6!memcpy");
  p.bind(kApp, kSlots + 8, kLibc + 0x5000);
  p.functions->read_slots(p.view, p.memory);
  EXPECT_EQ(p.name(kLibc + 0x5000), "libc.so.6!memcpy|memmove");
  EXPECT_EQ(p.name(kLibc + 0x5000, kApp + 0x1234), "libc.so.6!memcpy|memmove");
  EXPECT_EQ(p.name(kLibc + 0x5000, kApp + kStub), "libc.so.6!memcpy");
}

TEST(FunctionNames, ASlotThatLeadsToAnExportMakesNoIfuncOfIt) {
  Process p;
  p.bind(kApp, kSlots, kLibc + 0x2000);
  p.functions->read_slots(p.view, p.memory);
  EXPECT_EQ(p.name(kLibc + 0x2000), "libc.so.6!malloc");
}

TEST(FunctionNames, SlotsThatCannotBeReadAreReadLater) {
  Process p;
  p.bind(kApp, kSlots, kLibc + 0x5000);
  p.memory.lose_page(kApp + kSlots);
  EXPECT_FALSE(p.functions->read_slots(p.view, p.memory));
  p.memory.page_in(kApp + kSlots);
  EXPECT_TRUE(p.functions->read_slots(p.view, p.memory));
}

TEST(FunctionNames, AJumpBackToTheBeginningIsNoCall) {
  Process p;
  p.memory.put(kLibc + 0x2000, std::vector<std::uint8_t>(0x40, 0xcc));
  p.memory.put(kLibc + 0x2010, {0x90, 0x75, 0xed, 0x90, 0x90});        // jne 0x2000
  p.memory.put(kLibc + 0x2020, {0xe8, 0xdb, 0xff, 0xff, 0xff, 0x90});  // call 0x2000
  EXPECT_EQ(p.name(kLibc + 0x2000, kLibc + 0x2010), "-");
  EXPECT_EQ(p.name(kLibc + 0x2000, kLibc + 0x2020), "libc.so.6!malloc");
  EXPECT_EQ(p.name(kLibc + 0x2000, kLibc + 0x1ff0), "libc.so.6!malloc");
}

TEST(FunctionNames, TellTheFilterWhatToKeep) {
  Process p;
  p.bind(kApp, kSlots, kLibc + 0x5000);
  p.functions->read_slots(p.view, p.memory);
  const auto logged = p.functions->logged(p.view);
  ASSERT_EQ(logged.size(), 2u);
  EXPECT_TRUE(logged[0].entries->contains(0x1100));
  EXPECT_TRUE(logged[0].complete);
  EXPECT_TRUE(logged[1].entries->contains(0x2000));
  EXPECT_FALSE(logged[1].entries->contains(0x3000));
  ASSERT_NE(logged[1].targets, nullptr);
  EXPECT_TRUE(logged[1].targets->contains(0x5000));
  EXPECT_FALSE(logged[1].complete);  // memmove
  p.bind(kApp, kSlots + 8, kLibc + 0x5000);
  p.bind(kApp, kSlots + 24, kLibc + 0x6000);
  p.bind(kLibc, kSlots, kLibc + 0x5000);
  p.functions->read_slots(p.view, p.memory);
  EXPECT_TRUE(p.functions->logged(p.view)[1].complete);
}

TEST(FunctionNames, OnlyOfWhatIsWanted) {
  const std::vector<std::string> texts = {"libc.so.6!m*"};
  const auto image = Process().view.modules[1].image;
  const ImageFunctions functions(image, "libc.so.6", *CallFilter::parse(texts));
  EXPECT_NE(functions.at(0x2000), nullptr);
  EXPECT_EQ(functions.at(0x2100), nullptr);
  EXPECT_EQ(functions.ifuncs().size(), 2u);
  EXPECT_EQ(functions.entries()->size(), 1u);
}

}  // namespace
}  // namespace swat::daemon
