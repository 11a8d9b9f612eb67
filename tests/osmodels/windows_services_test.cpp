// System calls of Windows: numbers in stubs, and the entries that the kernel's code tells of.
#include <gtest/gtest.h>

#include "osmodels/windows/service_names.hpp"
#include "tests/osmodels/code_memory.hpp"

namespace swat::os::windows {
namespace {

std::optional<std::uint32_t> service_of(std::string_view hex, unsigned word_bytes) {
  std::array<std::byte, kStubBytes> code{};
  auto memory = test::CodeMemory::of_hex(Va{0}, hex);
  if (!memory.read(Va{0}, code)) return {};
  return service_of_stub(code, word_bytes);
}

// NtClose of Debian's libwine 8.0, as llvm-objdump shows it.
TEST(WindowsServiceStubs, TellTheirNumber) {
  EXPECT_EQ(service_of("4c 8b d1 b8 15 00 00 00 f6 04 25 08 03 fe 7f 01", 8), 0x15u);
  EXPECT_EQ(service_of("b8 15 00 00 00 ba 20 c6 00 7b ff d2 c2 04 00 90", 4), 0x15u);
}

// mov $0x1023,%eax; lea 4(%esp),%edx; int $0x2e; ret $4
TEST(WindowsServiceStubs, TellItInTheFormOfWindows2000) {
  EXPECT_EQ(service_of("b8 23 10 00 00 8d 54 24 04 cd 2e c2 04 00 90 90", 4), 0x1023u);
}

TEST(WindowsServiceStubs, AreNoOtherFunctions) {
  // xor %eax,%eax; ret
  EXPECT_EQ(service_of("31 c0 c3 90 90 90 90 90 90 90 90 90 90 90 90 90", 8), std::nullopt);
  // A hook: jmp
  EXPECT_EQ(service_of("e9 11 22 33 44 b8 0f 00 00 00 90 90 90 90 90 90", 8), std::nullopt);
  // mov $0xc0000002,%eax; ret $4
  EXPECT_EQ(service_of("b8 02 00 00 c0 c2 04 00 90 90 90 90 90 90 90 90", 4), std::nullopt);
  // A 64-bit stub in a 32-bit kernel's process
  EXPECT_EQ(service_of("4c 8b d1 b8 0f 00 00 00 f6 04 25 08 03 fe 7f 01", 4), std::nullopt);
}

// In SWAT's published log of a Windows XP. [ispras/swat, docs/Introspection.md]
TEST(WindowsServiceNames, AreThoseOfTheTablesUntilADllHasTold) {
  const ServiceNames names(find_syscall_build("xp_sp3_x86"));
  EXPECT_EQ(names.name(0xc8), "NtRequestWaitReplyPort");
  EXPECT_EQ(names.name(0x1208), "NtUserSetInformationThread");
  EXPECT_EQ(names.name(0x1fff), "");
  EXPECT_EQ(names.name(std::uint64_t{1} << 40), "");
  EXPECT_EQ(ServiceNames(nullptr).name(0xc8), "");
}

TEST(WindowsServiceNames, AreInTheseDllsOnly) {
  EXPECT_TRUE(ServiceNames::are_in("C:\\WINDOWS\\System32\\NTDLL.DLL"));
  EXPECT_TRUE(ServiceNames::are_in("\\Windows\\System32\\win32u.dll"));
  EXPECT_FALSE(ServiceNames::are_in("C:\\malware\\ntdll.dll"));
  EXPECT_FALSE(ServiceNames::are_in("C:\\Windows\\System32\\kernel32.dll"));
}

}  // namespace
}  // namespace swat::os::windows
