#include "daemon/stopped_guest.hpp"

#include <gtest/gtest.h>

#include "attached.hpp"
#include "daemon/vcpu_writes.hpp"
#include "recorded.hpp"
#include "tests/osmodels/memory_fakes.hpp"

namespace swat::daemon {
namespace {

// --- parse_info_registers

// The part of `info registers -a` that is of one vCPU.
std::string vcpu_part(const std::string& text, unsigned vcpu) {
  const auto start = text.find("CPU#" + std::to_string(vcpu));
  EXPECT_NE(start, std::string::npos);
  const auto end = text.find("CPU#" + std::to_string(vcpu + 1));
  return text.substr(start, end == std::string::npos ? end : end - start);
}

struct Tables {
  const char* file;
  unsigned vcpu;
  std::uint64_t idt, gdt, tr;
};

// IDT, GDT and TR lines of the recordings, read by eye.
constexpr Tables kTables[] = {
    {"linux-7.2-x86_64.hmp", 0, 0xffffffff8172e000, 0xffff88000fc04000, 0xffff88000fc10340},
    {"linux-7.2-x86_64.hmp", 1, 0xffffffff8172e000, 0xffff88000fd04000, 0xffff88000fd10340},
    {"linux-11.1-x86_64.hmp", 0, 0xffffffff8172e000, 0xffff88000fc04000, 0xffff88000fc10340},
    {"linux-11.1-x86_64.hmp", 1, 0xffffffff8172e000, 0xffff88000fd04000, 0xffff88000fd10340},
    {"linux-7.2-i386.hmp", 0, 0xfffbb000, 0xc1587000, 0xc1594cc0},
    {"linux-11.1-i386.hmp", 0, 0xfffbb000, 0xc1587000, 0xc1594cc0},
};

TEST(InfoRegisters, GivesTheTablesOfEachVcpu) {
  for (const Tables& row : kTables) {
    const auto tables = parse_info_registers(vcpu_part(recorded(row.file), row.vcpu));
    ASSERT_TRUE(tables) << row.file;
    EXPECT_EQ(tables->idt_base, Va{row.idt}) << row.file << " " << row.vcpu;
    EXPECT_EQ(tables->gdt_base, Va{row.gdt}) << row.file << " " << row.vcpu;
    EXPECT_EQ(tables->tr_base, Va{row.tr}) << row.file << " " << row.vcpu;
  }
}

TEST(InfoRegisters, GivesNoMsrs) {
  const auto tables = parse_info_registers(recorded("linux-7.2-x86_64.hmp"));
  ASSERT_TRUE(tables);
  EXPECT_FALSE(tables->lstar);
}

TEST(InfoRegisters, RefusesTextsWithoutTheTables) {
  for (const char* text :
       {"", "R00=00000000 R01=00000000\n", "IDT=", "IDT=     ffff GDT= zz TR =0040 1000",
        "GDT=     1000 7f\nIDT=     2000 fff\n", "IDT= 1 GDT= 2 TR =0040"}) {
    EXPECT_EQ(parse_info_registers(text).error().code, Errc::kProtocol) << text;
  }
}

TEST(InfoRegisters, RefusesEveryTextThatIsCutShortBeforeTheIdt) {
  const std::string text = vcpu_part(recorded("linux-7.2-x86_64.hmp"), 0);
  const auto idt = text.find("IDT=");
  for (std::size_t size = 0; size < idt; ++size) {
    EXPECT_FALSE(parse_info_registers(text.substr(0, size))) << size;
  }
}

// --- StoppedGuest

const std::string kFirst = x86_registers({1, 2, 3, 4, 0x246, 6, 7});
const std::string kSecond = x86_registers({11, 12, 13, 14, 0x2, 16, 17});

struct Guest : Attached {
  explicit Guest(std::initializer_list<Turn> turns, std::vector<std::string> threads = {"01"})
      : Attached(turns, std::move(threads)), view(*StoppedGuest::over(session, ram)) {}

  test::ArrayRam ram{16};
  StoppedGuest view;
};

TEST(StoppedGuest, KnowsTheArchitectureByTargetXml) {
  Guest guest({});
  EXPECT_EQ(guest.view.architecture(), os::Architecture::kX86_64);
}

TEST(StoppedGuest, RefusesAnArchitectureThatItDoesNotKnow) {
  Attached attached({}, {"01"},
                    R"(<target><architecture>riscv:rv64</architecture>)"
                    R"(<feature name="x"><reg name="pc" bitsize="64"/></feature></target>)");
  test::ArrayRam ram(16);
  const auto view = StoppedGuest::over(attached.session, ram);
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code, Errc::kUnsupported);
}

TEST(StoppedGuest, AsksOnceForAllRegistersOfAVcpu) {
  Guest guest({{"Hg01", "OK"}, {"g", kFirst}});
  EXPECT_EQ(*guest.view.reg(0, "rip"), 4u);
  EXPECT_EQ(*guest.view.reg(0, "eflags"), 0x246u);
}

TEST(StoppedGuest, KnowsA32BitKernelsRegistersByTheirWiderNames) {
  Guest guest({{"Hg01", "OK"}, {"g", kFirst}});
  EXPECT_EQ(*guest.view.reg(0, "esp"), *guest.view.reg(0, "rsp"));
}

TEST(StoppedGuest, KeepsVcpusApart) {
  Guest guest({{"Hg01", "OK"}, {"g", kFirst}, {"Hg02", "OK"}, {"g", kSecond}}, {"01", "02"});
  EXPECT_EQ(guest.view.vcpu_count(), 2u);
  EXPECT_EQ(*guest.view.reg(0, "rax"), 1u);
  EXPECT_EQ(*guest.view.reg(1, "rax"), 11u);
  EXPECT_EQ(*guest.view.reg(0, "rsp"), 3u);
}

TEST(StoppedGuest, AsksAnewAfterTheGuestHasRun) {
  Guest guest({{"Hg01", "OK"}, {"g", kFirst}, {"g", kSecond}});
  EXPECT_EQ(*guest.view.reg(0, "rax"), 1u);
  guest.view.forget();
  EXPECT_EQ(*guest.view.reg(0, "rax"), 11u);
}

TEST(StoppedGuest, AsksNothingAboutWhatAStopHasBrought) {
  Guest guest({});
  std::vector<std::byte> g(kX86RegisterBytes);
  g[0] = std::byte{0x42};
  guest.view.remember(0, std::move(g));
  EXPECT_EQ(*guest.view.reg(0, "rax"), 0x42u);
}

TEST(StoppedGuest, HasNoRegisterOfAnotherName) {
  Guest guest({});
  EXPECT_EQ(guest.view.reg(0, "x0").error().code, Errc::kNotFound);
  EXPECT_EQ(guest.view.reg(0, "e10").error().code, Errc::kNotFound);
}

TEST(StoppedGuest, HasNoVcpuThatTheStubDoesNotList) {
  Guest guest({});
  EXPECT_EQ(guest.view.reg(1, "rax").error().code, Errc::kNotFound);
}

TEST(StoppedGuest, HasNoTablesUntilItIsGivenSome) {
  Guest guest({});
  EXPECT_EQ(guest.view.x86_tables(0).error().code, Errc::kUnsupported);
  os::X86SystemTables tables;
  tables.idt_base = Va{0x1000};
  guest.view.set_x86_tables({tables});
  EXPECT_EQ(guest.view.x86_tables(0)->idt_base, Va{0x1000});
  EXPECT_EQ(guest.view.x86_tables(1).error().code, Errc::kUnsupported);
}

// --- VcpuWrites

TEST(VcpuWrites, SendsRegistersAndResumesInOneWrite) {
  Guest guest(
      {{"Hg01", "OK"}, {"g", kFirst}, {"P2=3412000000000000", "OK"}, {"Hc01", "OK"}, {"c401004"}});
  VcpuWrites writes(guest.session, guest.view, 0);
  ASSERT_TRUE(writes.reg("rsp"));
  const std::size_t before = guest.writes();
  ASSERT_TRUE(writes.set_reg("rsp", 0x1234));
  EXPECT_TRUE(writes.resume_at(Va{0x401004}));
  EXPECT_EQ(guest.writes() - before, 1u);
}

TEST(VcpuWrites, ReadsBackWhatItIsGoingToWrite) {
  Guest guest({});
  VcpuWrites writes(guest.session, guest.view, 0);
  ASSERT_TRUE(writes.set_reg("rsp", 0x1234));
  EXPECT_EQ(*writes.reg("rsp"), 0x1234u);
}

TEST(VcpuWrites, WritesARegisterAsWideAsItIs) {
  Guest guest({{"Hg01", "OK"}, {"P4=46020000", "OK"}, {"Hc01", "OK"}, {"c401004"}});
  VcpuWrites writes(guest.session, guest.view, 0);
  ASSERT_TRUE(writes.set_reg("eflags", 0x246));
  EXPECT_TRUE(writes.resume_at(Va{0x401004}));
}

TEST(VcpuWrites, StoresAWordAtOnce) {
  Guest guest({{"Hg02", "OK"}, {"M7ff8,8:8877665544332211", "OK"}}, {"01", "02"});
  VcpuWrites writes(guest.session, guest.view, 1);
  EXPECT_TRUE(writes.store(Va{0x7ff8}, 0x1122334455667788, 8));
}

TEST(VcpuWrites, SaysWhenTheStackCannotBeWritten) {
  Guest guest({{"Hg01", "OK"}, {"M7ff8,8:0100000000000000", "E14"}});
  VcpuWrites writes(guest.session, guest.view, 0);
  EXPECT_EQ(writes.store(Va{0x7ff8}, 1, 8).error().code, Errc::kFault);
}

TEST(VcpuWrites, RefusesARegisterThatTheStubHasNot) {
  Guest guest({});
  VcpuWrites writes(guest.session, guest.view, 0);
  EXPECT_EQ(writes.set_reg("x30", 1).error().code, Errc::kUnsupported);
}

}  // namespace
}  // namespace swat::daemon
