#include "gdbproto/device_state.hpp"

#include <gtest/gtest.h>

#include <regex>

#include "tests/gdbproto/transcript.hpp"

namespace swat::gdbproto {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// One vCPU's lines of `info registers -a`.
struct Hmp {
  std::uint64_t tr_base, gdt_base, gdt_limit, idt_base, idt_limit, cr3;
};

std::vector<Hmp> info_registers(const std::string& text) {
  const std::regex row(
      R"(TR =\w+ (\w+)[^]*?GDT= +(\w+) (\w+)\s+IDT= +(\w+) (\w+)\s+CR0=\w+ CR2=\w+ CR3=(\w+))");
  std::vector<Hmp> vcpus;
  for (std::sregex_iterator at(text.begin(), text.end(), row), end; at != end; ++at) {
    const auto number = [&](std::size_t i) { return std::stoull((*at)[i].str(), nullptr, 16); };
    vcpus.push_back({number(1), number(2), number(3), number(4), number(5), number(6)});
  }
  return vcpus;
}

struct Row {
  const char* name;
  bool is_64_bit;
};
const Row kRows[] = {{"linux-7.2-x86_64", true},
                     {"linux-11.1-x86_64", true},
                     {"linux-7.2-i386", false},
                     {"linux-11.1-i386", false}};

TEST(DeviceState, AgreesWithInfoRegistersOnEveryVcpuOfRealQemus) {
  for (const Row& row : kRows) {
    const std::string file = transcript_file(std::string(row.name) + ".state");
    const auto vcpus = parse_x86_device_state(bytes_of(file), row.is_64_bit);
    ASSERT_TRUE(vcpus) << row.name << ": " << vcpus.error().what;
    const auto expected = info_registers(transcript_file(std::string(row.name) + ".hmp"));
    ASSERT_EQ(expected.size(), 2u) << row.name;
    ASSERT_EQ(vcpus->size(), 2u) << row.name;
    for (std::size_t i = 0; i < 2; ++i) {
      const X86SystemRegisters& vcpu = (*vcpus)[i];
      EXPECT_EQ(vcpu.tr_base.value, expected[i].tr_base) << row.name << i;
      EXPECT_EQ(vcpu.gdt_base.value, expected[i].gdt_base) << row.name << i;
      EXPECT_EQ(vcpu.gdt_limit, expected[i].gdt_limit) << row.name << i;
      EXPECT_EQ(vcpu.idt_base.value, expected[i].idt_base) << row.name << i;
      EXPECT_EQ(vcpu.idt_limit, expected[i].idt_limit) << row.name << i;
      EXPECT_EQ(vcpu.cr3, expected[i].cr3) << row.name << i;
    }
  }
}

// Of these kernels; at both addresses the guest's memory holds `swapgs; mov %rsp,%gs:disp` (read
// with gdb), and 0x0023 0x0010 are the segments that Linux puts into STAR.
TEST(DeviceState, FindsTheSyscallEntriesOfRealKernels) {
  for (const char* name : {"linux-7.2-x86_64", "linux-11.1-x86_64"}) {
    const std::string file = transcript_file(std::string(name) + ".state");
    const auto vcpus = parse_x86_device_state(bytes_of(file), true);
    ASSERT_TRUE(vcpus) << name;
    for (const X86SystemRegisters& vcpu : *vcpus) {
      EXPECT_EQ(vcpu.lstar, Va{0xffffffff81355e00});
      EXPECT_EQ(vcpu.star, 0x0023001000000000u);
    }
  }
  for (const char* name : {"linux-7.2-i386", "linux-11.1-i386"}) {
    const std::string file = transcript_file(std::string(name) + ".state");
    const auto vcpus = parse_x86_device_state(bytes_of(file), false);
    ASSERT_TRUE(vcpus) << name;
    EXPECT_EQ(vcpus->front().sysenter_eip, Va{0xc1424b60});
    EXPECT_EQ(vcpus->front().lstar, Va{0});
  }
}

TEST(DeviceState, RefusesAFileThatIsNone) {
  std::string file = transcript_file("linux-7.2-x86_64.state");
  EXPECT_EQ(parse_x86_device_state({}, true).error().code, Errc::kBadImage);
  EXPECT_EQ(parse_x86_device_state(bytes_of(std::string("QEVM")), true).error().code,
            Errc::kBadImage);
  file[7] = 4;  // a version of the format that does not exist
  EXPECT_EQ(parse_x86_device_state(bytes_of(file), true).error().code, Errc::kBadImage);
}

TEST(DeviceState, SurvivesAFileCutOffAnywhere) {
  const std::string file = transcript_file("linux-7.2-x86_64.state");
  std::size_t before = 0;
  for (std::size_t size = 0; size < file.size(); ++size) {
    const std::string cut = file.substr(0, size);
    const auto vcpus = parse_x86_device_state(bytes_of(cut), true);
    const std::size_t now = vcpus ? vcpus->size() : 0;
    ASSERT_GE(now, before) << size;
    before = now;
  }
  EXPECT_EQ(before, 2u);
}

TEST(DeviceState, TakesNoCpuSectionOfAnotherVersion) {
  std::string file = transcript_file("linux-7.2-x86_64.state");
  const std::string name(
      "\x03"
      "cpu",
      4);
  for (std::size_t at = file.find(name); at != std::string::npos; at = file.find(name, at + 1)) {
    file[at + 11] = 13;
  }
  EXPECT_EQ(parse_x86_device_state(bytes_of(file), true).error().code, Errc::kNotFound);
}

TEST(DeviceState, IsNotMisledByLookAlikesInADevicesBuffer) {
  const std::string file = transcript_file("linux-7.2-x86_64.state");
  const auto genuine = parse_x86_device_state(bytes_of(file), true);
  std::string fake(
      "\x04\0\0\0\x01\x03"
      "cpu\0\0\0\0\0\0\0\x0c",
      17);
  fake.append(0x400, '\xee');
  const auto vcpus = parse_x86_device_state(bytes_of(file + fake), true);
  ASSERT_TRUE(vcpus && genuine);
  EXPECT_EQ(vcpus->size(), genuine->size());
  EXPECT_EQ(vcpus->front().lstar, genuine->front().lstar);
}

}  // namespace
}  // namespace swat::gdbproto
