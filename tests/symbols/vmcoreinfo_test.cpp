#include "symbols/vmcoreinfo.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace swat::symbols::test {
namespace {

// Lines as kernels of x86_64 and of arm64 write them; the values are made up.
constexpr std::string_view kText =
    "OSRELEASE=6.12.95+deb12-amd64\n"
    "BUILD-ID=7a5c9f4b\n"
    "PAGESIZE=4096\n"
    "SYMBOL(init_uts_ns)=ffffffff960124e0\n"
    "OFFSET(uts_namespace.name)=0\n"
    "SYMBOL(_stext)=ffffffff94200000\n"
    "NUMBER(phys_base)=-1258291200\n"
    "NUMBER(kimage_voffset)=0xffff7fffc0000000\n"
    "KERNELOFFSET=13200000\n";

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto raw = std::as_bytes(std::span(text));
  return {raw.begin(), raw.end()};
}

TEST(Vmcoreinfo, ReadsEveryKindOfLine) {
  const auto info = Vmcoreinfo::parse(kText);
  ASSERT_TRUE(info) << info.error().what;
  EXPECT_EQ(info->os_release(), "6.12.95+deb12-amd64");
  EXPECT_EQ(info->symbol("_stext"), Va{0xffffffff94200000});
  EXPECT_EQ(info->symbol("no_such"), std::nullopt);
  EXPECT_EQ(info->number("phys_base"), static_cast<std::uint64_t>(-1258291200));
  EXPECT_EQ(info->number("kimage_voffset"), 0xffff7fffc0000000);
  EXPECT_EQ(info->text("KERNELOFFSET"), "13200000");
  EXPECT_EQ(info->text("PAGESIZE"), "4096");
}

TEST(Vmcoreinfo, RefusesWhatIsNotLinesOfKeyAndValue) {
  for (const std::string_view text : {"", "PAGESIZE=4096\n", "OSRELEASE=6.1\nnonsense\n",
                                      "OSRELEASE=6.1\n=1\n", "OSRELEASE=6.1\nA=\x01\n"}) {
    const auto info = Vmcoreinfo::parse(text);
    ASSERT_FALSE(info) << text;
    EXPECT_EQ(info.error().code, Errc::kBadImage);
  }
}

TEST(Vmcoreinfo, AValueThatIsNoNumberIsNoNumber) {
  const auto info = Vmcoreinfo::parse(
      "OSRELEASE=6.1\nSYMBOL(a)=12g\nNUMBER(b)=\nNUMBER(c)=99999999999999999999\n");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->symbol("a"), std::nullopt);
  EXPECT_EQ(info->number("b"), std::nullopt);
  EXPECT_EQ(info->number("c"), std::nullopt);
}

// The kernel's own format string comes first in .rodata, then perhaps a copy that is overwritten.
TEST(Vmcoreinfo, FindsTheFirstCopyThatParses) {
  std::string memory = "OSRELEASE=%s\n";
  memory += std::string("\0", 1) + "OSRELEASE=6.1\n\x02\x03" + std::string("\0junk", 5);
  memory += std::string(kText) + std::string("\0", 1) + "OSRELEASE=9.9\n";
  const auto bytes = bytes_of(memory);
  const auto info = Vmcoreinfo::find({Va{0xc0000000}, bytes, 4});
  ASSERT_TRUE(info) << info.error().what;
  EXPECT_EQ(info->os_release(), "6.12.95+deb12-amd64");
}

TEST(Vmcoreinfo, IsNotFoundWithoutAnEnd) {
  const auto bytes = bytes_of(kText);
  EXPECT_EQ(Vmcoreinfo::find({Va{}, bytes, 8}).error().code, Errc::kNotFound);
}

TEST(LinuxBanner, IsTheFirstWholeLine) {
  const auto bytes = bytes_of(
      "Linux version %s\nLinux version 6.\x01\nLinux version 6.1.0-56 (x) #1 SMP\nLinux version "
      "7\n");
  const auto banner = find_linux_banner({Va{}, bytes, 8});
  ASSERT_TRUE(banner) << banner.error().what;
  EXPECT_EQ(*banner, "Linux version 6.1.0-56 (x) #1 SMP");
}

TEST(LinuxBanner, IsNotFoundWithoutItsNewline) {
  const auto bytes = bytes_of("Linux version 6.1.0-56 (x) #1 SMP");
  EXPECT_EQ(find_linux_banner({Va{}, bytes, 8}).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace swat::symbols::test
