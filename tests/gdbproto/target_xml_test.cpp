#include "gdbproto/target_xml.hpp"

#include <gtest/gtest.h>

#include <array>
#include <sstream>

#include "tests/gdbproto/transcript.hpp"

namespace swat::gdbproto {
namespace {

Result<std::string> no_annex(std::string_view) { return fail(Errc::kNotFound, "no annex"); }

Result<TargetDescription> parse(std::string_view xml) {
  return TargetDescription::parse(xml, no_annex);
}

std::string target_of(const std::string& registers) {
  return "<target><feature name=\"f\">" + registers + "</feature></target>";
}

Result<TargetDescription> recorded(const std::string& name) {
  const auto annexes = annexes_of(read_remote_log(name + ".log"));
  return TargetDescription::parse(annexes.at("target.xml"),
                                  [&](std::string_view annex) -> Result<std::string> {
                                    return annexes.at(std::string(annex));
                                  });
}

// gdb is the reference: name, number, size and place of every register, as it understood the XML.
TEST(TargetXml, AgreesWithGdbOnEveryRegisterOfRealQemus) {
  for (const char* name : kRecordings) {
    const auto target = recorded(name);
    ASSERT_TRUE(target) << name << ": " << target.error().what;
    std::istringstream table(transcript_file(std::string(name) + ".registers"));
    std::size_t compared = 0;
    for (std::string line; std::getline(table, line);) {
      // Name Nr Rel Offset Size Type "Rmt Nr" "g/G Offset"; the last two are absent from those
      // registers that gdb makes up itself.
      std::istringstream row(line);
      const std::vector<std::string> cells{std::istream_iterator<std::string>(row), {}};
      if (cells.size() < 8 || cells[0] == "Name" || cells[0] == "''") continue;
      if (cells.back().find_first_not_of("0123456789") != std::string::npos) continue;
      const RegisterInfo* reg = target->find(cells[0]);
      ASSERT_NE(reg, nullptr) << name << " " << cells[0];
      EXPECT_EQ(reg->number, std::stoul(cells[cells.size() - 2])) << line;
      EXPECT_EQ(reg->offset, std::stoul(cells.back())) << line;
      EXPECT_EQ(reg->size_bytes, std::stoul(cells[4])) << line;
      ++compared;
    }
    EXPECT_EQ(compared, target->registers().size()) << name;
  }
}

TEST(TargetXml, FindsTheProgramCounterInARealReplyToG) {
  const auto target = recorded("qemu-7.2-x86_64");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->architecture(), "i386:x86-64");
  std::vector<std::byte> g(608);
  g[128] = std::byte{0xfe};  // rip, number 16. [facts/qemu.md "Registers"]
  EXPECT_EQ(*target->value(g, *target->find("rip")), 0xfeu);
}

TEST(TargetXml, PassesOverRegistersInComments) {
  const auto target =
      parse(target_of("<!-- <reg name=\"no\" bitsize=\"32\"/> -->"
                      "<reg name=\"yes\" bitsize=\"32\"/>"));
  ASSERT_TRUE(target);
  EXPECT_EQ(target->find("no"), nullptr);
  EXPECT_EQ(target->find("yes")->number, 0u);
}

TEST(TargetXml, NumbersARegisterOneAfterThePreviousUnlessItSaysItself) {
  const auto target =
      parse(target_of("<reg name=\"a\" bitsize=\"32\"/>"
                      "<reg name=\"b\" bitsize=\"64\" regnum=\"25\"/>"
                      "<reg name=\"c\" bitsize=\"32\"/>"));
  ASSERT_TRUE(target);
  EXPECT_EQ(target->find("b")->number, 25u);
  EXPECT_EQ(target->find("c")->number, 26u);
  EXPECT_EQ(target->find("c")->offset, 12u);
}

TEST(TargetXml, PlacesRegistersByNumberWhateverTheirOrderInTheText) {
  const auto target =
      parse(target_of("<reg name=\"b\" bitsize=\"64\" regnum=\"1\"/>"
                      "<reg name=\"a\" bitsize=\"32\" regnum=\"0\"/>"));
  ASSERT_TRUE(target);
  EXPECT_EQ(target->find("a")->offset, 0u);
  EXPECT_EQ(target->find("b")->offset, 4u);
}

TEST(TargetXml, RefusesWhatCannotBeMeant) {
  const std::string reg = "<reg name=\"a\" bitsize=\"32\"/>";
  for (const std::string& xml : {
           std::string(),
           std::string("garbage"),
           std::string("<target>"),
           std::string("<target></target>"),
           target_of("<reg name=\"a\" bitsize=\"0\"/>"),
           target_of("<reg name=\"a\" bitsize=\"7\"/>"),
           target_of("<reg name=\"a\" bitsize=\"99999999\"/>"),
           target_of("<reg bitsize=\"32\"/>"),
           target_of("<reg name=\"a\" bitsize=\"32\" regnum=\"4294967295\"/>"),
           target_of(reg + "<reg name=\"b\" bitsize=\"32\" regnum=\"0\"/>"),
           target_of("<xi:include/>"),
           target_of("<xi:include href=\"x.xml\"/>"),
       }) {
    EXPECT_FALSE(parse(xml)) << xml;
  }
}

TEST(TargetXml, RefusesIncludesThatIncludeThemselves) {
  const std::string loop = target_of("<xi:include href=\"a.xml\"/>");
  std::size_t fetched = 0;
  const auto target = TargetDescription::parse(loop, [&](std::string_view) -> Result<std::string> {
    ++fetched;
    return loop + "";
  });
  EXPECT_FALSE(target);
  EXPECT_LT(fetched, 100u);
}

TEST(TargetXml, BoundsTheIncludesTheirSizeAndTheRegisters) {
  std::string includes;
  for (int i = 0; i < 1000; ++i) includes += "<xi:include href=\"a.xml\"/>";
  std::size_t fetched = 0;
  const auto many = [&](std::string_view) -> Result<std::string> {
    ++fetched;
    return target_of("");
  };
  EXPECT_FALSE(TargetDescription::parse(target_of(includes), many));
  EXPECT_LT(fetched, 100u);

  EXPECT_FALSE(parse(target_of(std::string(8 << 20, ' '))));

  std::string registers;
  for (int i = 0; i < 5000; ++i) registers += "<reg name=\"a\" bitsize=\"8\"/>";
  EXPECT_FALSE(parse(target_of(registers)));
}

TEST(TargetXml, SurvivesElementsNestedWithoutEnd) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "<feature>";
  EXPECT_FALSE(parse(deep));
}

TEST(TargetXml, RefusesAValueThatIsNotThere) {
  const auto target =
      parse(target_of("<reg name=\"a\" bitsize=\"64\"/>"
                      "<reg name=\"wide\" bitsize=\"128\"/>"));
  ASSERT_TRUE(target);
  const std::array<std::byte, 7> g{};
  EXPECT_EQ(target->value(g, *target->find("a")).error().code, Errc::kUnsupported);
  EXPECT_EQ(target->value(g, *target->find("wide")).error().code, Errc::kUsage);
}

}  // namespace
}  // namespace swat::gdbproto
