#include "tests/gdbproto/transcript.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "gdbproto/packet.hpp"

namespace swat::gdbproto {
namespace {

// gdb's spelling of bytes: \\ \b \f \n \r \t \v and \xNN. [gdb/ser-base.c, serial_logchar]
std::string unescape(std::string_view text) {
  static const std::map<char, char> kShort{{'\\', '\\'}, {'b', '\b'}, {'f', '\f'}, {'n', '\n'},
                                           {'r', '\r'},  {'t', '\t'}, {'v', '\v'}};
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      bytes.push_back(text[i]);
      continue;
    }
    ++i;
    if (text[i] == 'x') {
      bytes.push_back(
          static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16)));
      i += 2;
    } else {
      bytes.push_back(kShort.at(text[i]));
    }
  }
  return bytes;
}

// gdb notes its own timeouts in the midst of what it read.
void drop_notes(std::string& text) {
  for (std::size_t at = text.find("<Timeout: "); at != std::string::npos;
       at = text.find("<Timeout: ")) {
    text.erase(at, text.find('>', at) + 1 - at);
  }
}

}  // namespace

std::string transcript_file(const std::string& name) {
  std::ifstream file(std::string(SWAT_TRANSCRIPTS "/") + name, std::ios::binary);
  EXPECT_TRUE(file) << "no " << name << ": see tests/transcripts/record";
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<LogLine> read_remote_log(const std::string& name) {
  std::vector<LogLine> log;
  std::string text = transcript_file(name);
  drop_notes(text);
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = std::string_view(text).substr(start, end - start);
    start = end + 1;
    if (!line.starts_with("w ") && !line.starts_with("r ")) continue;  // gdb's own commands
    log.push_back({line[0] == 'w', unescape(line.substr(2))});
  }
  return log;
}

std::map<std::string, std::string> annexes_of(const std::vector<LogLine>& log) {
  constexpr std::string_view kQuestion = "qXfer:features:read:";
  std::map<std::string, std::string> annexes;
  std::string asked;
  for (const LogLine& line : log) {
    FrameDecoder decoder;
    decoder.feed(line.bytes);
    for (auto frame = decoder.next(); frame && *frame; frame = decoder.next()) {
      if ((*frame)->kind != Frame::Kind::kPacket) continue;
      const std::string& payload = (*frame)->payload;
      if (line.from_gdb) {
        const bool is_read = payload.starts_with(kQuestion);
        asked =
            is_read ? payload.substr(kQuestion.size(), payload.rfind(':') - kQuestion.size()) : "";
      } else if (!asked.empty()) {
        annexes[asked].append(payload, 1);
      }
    }
  }
  return annexes;
}

}  // namespace swat::gdbproto
