// What tests/transcripts/record has recorded.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace swat::gdbproto {

// The text of a file in tests/transcripts; fails the test when there is none.
std::string transcript_file(const std::string& name);

// One line of a remotelogfile: bytes that gdb wrote, or that QEMU answered.
struct LogLine {
  bool from_gdb;
  std::string bytes;
};
std::vector<LogLine> read_remote_log(const std::string& name);

// Annexes of qXfer:features:read, put together from the pieces in a log.
std::map<std::string, std::string> annexes_of(const std::vector<LogLine>& log);

inline constexpr const char* kRecordings[] = {"qemu-7.2-x86_64", "qemu-11.1-x86_64",
                                              "qemu-7.2-i386", "qemu-11.1-i386"};

}  // namespace swat::gdbproto
