#include "daemon/ram_layout.hpp"

#include <gtest/gtest.h>

#include "recorded.hpp"

namespace swat::daemon {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

struct Ram {
  std::uint64_t start;
  std::uint64_t end;
  std::string region;

  friend bool operator==(const Ram&, const Ram&) = default;
};

std::ostream& operator<<(std::ostream& out, const Ram& ram) {
  return out << std::hex << ram.start << "-" << ram.end << " " << ram.region;
}

std::vector<Ram> ram_of(const std::vector<RamBlock>& blocks) {
  std::vector<Ram> ram;
  for (const RamBlock& block : blocks) {
    ram.push_back({block.range.start.value, block.range.end.value, block.region});
  }
  return ram;
}

// What the machines were started with, and what a PC makes of it: RAM but for the hole of the VGA
// and of ROM at 640 KiB, and what does not fit below the PCI hole goes above 4 GiB.
struct Machine {
  const char* name;
  std::vector<Ram> ram;
};

const Machine kMachines[] = {
    {"pc", {{0, 0xa0000, "pc.ram"}, {kMiB, 256 * kMiB, "pc.ram"}}},
    {"q35", {{0, 0xa0000, "pc.ram"}, {kMiB, 256 * kMiB, "pc.ram"}}},
    {"5g",
     {{0, 0xa0000, "pc.ram"}, {kMiB, 3072 * kMiB, "pc.ram"}, {4096 * kMiB, 6144 * kMiB, "pc.ram"}}},
    {"file", {{0, 0xa0000, "mem"}, {kMiB, 64 * kMiB, "mem"}}},
    {"memfd", {{0, 0xa0000, "mem"}, {kMiB, 64 * kMiB, "mem"}}},
    // SeaBIOS has made some of the ROM area writable, and the VGA's memory is mapped.
    {"booted",
     {{0, 0xa0000, "pc.ram"},
      {0xca000, 0xcd000, "pc.ram"},
      {0xe8000, 0xf0000, "pc.ram"},
      {kMiB, 256 * kMiB, "pc.ram"}}},
};

class RecordedLayout : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(RamLayout, RecordedLayout, testing::Values("7.2", "11.1"),
                         [](const auto& row) { return row.index == 0 ? "old" : "new"; });

std::string file_of(const char* version, const char* machine) {
  return std::string("layout-") + version + "-" + machine + ".hmp";
}

TEST_P(RecordedLayout, HasTheRamThatTheMachineWasGiven) {
  for (const Machine& machine : kMachines) {
    const auto blocks = read_ram_layout(monitor_of(file_of(GetParam(), machine.name)));
    ASSERT_TRUE(blocks) << machine.name << ": " << blocks.error().what;
    EXPECT_EQ(ram_of(*blocks), machine.ram) << machine.name;
  }
}

// One block of host memory serves the RAM on both sides of a hole.
TEST_P(RecordedLayout, AsksWhereEachBlockStarts) {
  const auto blocks = read_ram_layout(monitor_of(file_of(GetParam(), "5g")));
  ASSERT_TRUE(blocks);
  ASSERT_EQ(blocks->size(), 3u);
  const std::uint64_t host = blocks->front().host_address;
  EXPECT_NE(host, 0u);
  EXPECT_EQ((*blocks)[1].host_address - host, kMiB);
  EXPECT_EQ((*blocks)[2].host_address - host, 3072 * kMiB);  // as its @00000000c0000000 says
}

TEST_P(RecordedLayout, HasNoAddressWhereGpa2hvaGivesNone) {
  const std::string text = recorded(file_of(GetParam(), "pc"));
  for (const char* command : {"gpa2hva 0xa0000", "gpa2hva 0x900000000"}) {
    const auto address = parse_gpa2hva(answer_in(text, command));
    ASSERT_FALSE(address) << command;
    EXPECT_EQ(address.error().code, Errc::kUnsupported) << command;
  }
}

TEST(RamLayout, GoesWithoutAddressesWhereGpa2hvaIsUnknown) {
  const auto blocks = read_ram_layout([](std::string_view command) -> Result<std::string> {
    if (command == "info mtree -f") {
      return answer_in(recorded("layout-7.2-pc.hmp"), command);
    }
    return "unknown command: 'gpa2hva'\n";
  });
  ASSERT_TRUE(blocks);
  for (const RamBlock& block : *blocks) EXPECT_EQ(block.host_address, 0u);
}

TEST(RamLayout, HandsOnAMonitorsFailure) {
  const auto blocks = read_ram_layout(
      [](std::string_view) -> Result<std::string> { return fail(Errc::kDisconnected, "gone"); });
  ASSERT_FALSE(blocks);
  EXPECT_EQ(blocks.error().code, Errc::kDisconnected);
}

// --- Texts that no QEMU prints

constexpr std::string_view kHead = "FlatView #0\n AS \"memory\", root: system\n";

Result<std::vector<RamBlock>> of_lines(std::string_view lines) {
  return parse_mtree(std::string(kHead) + std::string(lines));
}

TEST(RamLayout, CallsATextWithoutRamAProtocolError) {
  for (const char* text : {"", "\n\n", "unknown command: 'info mtree'\n", "FlatView #0\n",
                           "  0000-ffff (prio 0, ram): pc.ram\n"}) {
    const auto blocks = parse_mtree(text);
    ASSERT_FALSE(blocks) << text;
    EXPECT_EQ(blocks.error().code, Errc::kProtocol) << text;
  }
}

TEST(RamLayout, SkipsLinesThatAreNoRange) {
  for (const char* line : {"  -ffff (prio 0, ram): pc.ram\n", "  0000 (prio 0, ram): pc.ram\n",
                           "  0000- (prio 0, ram): pc.ram\n", "  zzzz-ffff (prio 0, ram): x\n",
                           "  10000000000000000-10000000000000fff (prio 0, ram): pc.ram\n",
                           "  0000-ffff (prio 0, i/o): pc.ram\n", "  0000-ffff\n", "  \n",
                           "  ffff-0000 (prio 0, ram): pc.ram\n"}) {
    const auto blocks = of_lines(std::string(line) + "  1000-1fff (prio 0, ram): pc.ram\n");
    ASSERT_TRUE(blocks) << line;
    EXPECT_EQ(ram_of(*blocks), (std::vector<Ram>{{0x1000, 0x2000, "pc.ram"}})) << line;
  }
}

TEST(RamLayout, OrdersRangesByAddress) {
  const auto blocks = of_lines("  2000-2fff (prio 0, ram): b\n  0000-0fff (prio 0, ram): a\n");
  ASSERT_TRUE(blocks);
  EXPECT_EQ(blocks->front().region, "a");
}

// Whoever looks an address up relies on it. [symbols/memory.hpp, PhysicalMemory::ranges]
TEST(RamLayout, RefusesRangesThatOverlap) {
  EXPECT_FALSE(of_lines("  0000-1fff (prio 0, ram): a\n  1000-2fff (prio 0, ram): b\n"));
}

// No address space ends there, and the end would wrap to 0.
TEST(RamLayout, RefusesARangeUpToTheLastByte) {
  EXPECT_FALSE(of_lines("  1000-ffffffffffffffff (prio 0, ram): a\n"));
}

TEST(RamLayout, BoundsTheBlocks) {
  std::string lines;
  for (unsigned i = 0; i < 100000; ++i) {
    std::array<char, 64> line;
    std::snprintf(line.data(), line.size(), "  %x000-%xfff (prio 0, ram): a\n", i, i);
    lines += line.data();
  }
  const auto blocks = of_lines(lines);
  ASSERT_TRUE(blocks);
  EXPECT_LE(blocks->size(), 256u);
}

TEST(RamLayout, CallsAnAddressThatIsNoneAProtocolError) {
  for (const char* text :
       {"Host virtual address for 0x0 (pc.ram) is 0x", "Host virtual address for 0x0 (x) is 0xzz",
        "Host virtual address for 0x0 (x) is 0x10000000000000000"}) {
    EXPECT_EQ(parse_gpa2hva(text).error().code, Errc::kProtocol) << text;
  }
}

}  // namespace
}  // namespace swat::daemon
