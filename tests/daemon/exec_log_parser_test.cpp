#include "daemon/exec_log_parser.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "recorded.hpp"

namespace swat::daemon {
namespace {

// What was heard, one text a line.
class Heard final : public ExecLogListener {
 public:
  std::vector<std::string> lines;

  void on_trace(const TraceLine& line) override {
    add("trace " + std::to_string(line.vcpu) + " " + hex(line.pc.value) + " " + hex(line.flags));
  }
  void on_stopped_before(Va pc) override { add("stopped " + hex(pc.value)); }
  void on_page_table(std::uint64_t cr3) override { add("cr3 " + hex(cr3)); }
  void on_other(std::string_view line) override { add("other " + std::string(line)); }

 private:
  void add(std::string line) { lines.push_back(std::move(line)); }
  static std::string hex(std::uint64_t value) {
    std::array<char, 17> text{};
    std::snprintf(text.data(), text.size(), "%llx", static_cast<unsigned long long>(value));
    return text.data();
  }
};

using Lines = std::vector<std::string>;

Lines heard(std::string_view text, std::size_t first_piece) {
  Heard heard;
  ExecLogParser parser(heard);
  parser.feed(text.substr(0, first_piece));
  parser.feed(text.substr(std::min(first_piece, text.size())));
  return heard.lines;
}

struct Row {
  const char* text;
  Lines expected;
};

const Row kRows[] = {
    {"Trace 0: 0x7f525f366000 [0000000000000000/ffffffffa34002c0/0040c2b0/ff000000] \n",
     {"trace 0 ffffffffa34002c0 40c2b0"}},
    // 11.1 writes eight digits of cs_base; a symbol may follow.
    {"Trace 13: 0x7f6b08db15c0 [00000000/00007ffff7e89d50/0041c2b3/ff020000] strlen\n",
     {"trace 13 7ffff7e89d50 41c2b3"}},
    {"Stopped execution of TB chain before 0x7f525f847280 [00007ffff7ee1810] \n",
     {"stopped 7ffff7ee1810"}},
    {"CR3 update: CR3=0000000002a12000\n", {"cr3 2a12000"}},
    {"Linking TBs 0x7f525f9df100 index 0 -> 0x7f525f9f0200\n", {}},
    {"cpu_io_recompile: rewound execution of TB to ffffffff99e75a22\n", {}},
    {"CR0 update: CR0=0x80050033\nCR4 update: CR4=000006f0\n", {}},
    {"gdbstub_err_garbage got garbage between packets: 0x2b\n",
     {"other gdbstub_err_garbage got garbage between packets: 0x2b"}},
    {"\n\n", {}},
};

TEST(ExecLogParser, UnderstandsEachLineAtEverySplit) {
  for (const Row& row : kRows) {
    const std::string_view text = row.text;
    for (std::size_t split = 0; split <= text.size(); ++split) {
      EXPECT_EQ(heard(text, split), row.expected) << text << " split at " << split;
    }
  }
}

TEST(ExecLogParser, CountsWhatBeginsLikeALineOfOursAndGoesOnOtherwise) {
  const char* const bad[] = {
      "Trace \n",
      "Trace x: 0x7f [0/1/2/3] \n",
      "Trace 0: 0x7f 0/1/2/3 \n",
      "Trace 0: 0x7f [0/1]\n",
      "Trace 0: 0x7f [0/12345678901234567/2/3] \n",
      "Trace 0: 0x7f [0//2/3] \n",
      "Trace 99999999999: 0x7f [0/1/2/3] \n",
      "Stopped execution of TB chain before 0x7f\n",
      "CR3 update: CR3=\n",
      "CR3 update: CR3=12x\n",
  };
  for (const char* const text : bad) {
    Heard heard;
    ExecLogParser parser(heard);
    parser.feed(text);
    EXPECT_EQ(parser.bad_lines(), 1u) << text;
    EXPECT_EQ(heard.lines, Lines{}) << text;
  }
}

TEST(ExecLogParser, SkipsALineThatIsTooLongAndGoesOnBehindIt) {
  const std::string endless(3 * ExecLogParser::kMaxLineBytes, 'x');
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, endless.size()}) {
    Heard heard;
    ExecLogParser parser(heard);
    const std::string text = "Trace 0: " + endless + "\nCR3 update: CR3=1000\n";
    for (std::size_t at = 0; at < text.size(); at += piece) {
      parser.feed(std::string_view(text).substr(at, piece));
    }
    EXPECT_EQ(heard.lines, Lines{"cr3 1000"});
    EXPECT_EQ(parser.bad_lines(), 1u);
  }
}

// Excerpts of real logs; in the kernel's parts some lines are left out.
TEST(ExecLogParser, ReadsWhatQemuWrites) {
  const struct {
    const char* file;
    std::size_t traces;
  } kLogs[] = {{"exec-log-7.2", 27}, {"exec-log-11.1", 20}};
  for (const auto& [file, traces] : kLogs) {
    Heard heard;
    ExecLogParser parser(heard);
    parser.feed(recorded(file));
    EXPECT_EQ(parser.traces(), traces) << file;
    EXPECT_EQ(parser.bad_lines(), 0u) << file;
  }
}

}  // namespace
}  // namespace swat::daemon
