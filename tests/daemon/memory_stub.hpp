// A gdbstub whose guest has nothing but physical memory: as much of RSP as reading that takes.
#pragma once

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <utility>

#include "attached.hpp"
#include "gdbproto/link.hpp"

namespace swat::daemon {

class MemoryStub final : public gdbproto::Link {
 public:
  // `ram` outlives this; the rest of physical memory cannot be read.
  MemoryStub(Pa at, std::span<const std::byte> ram) : at_(at), ram_(ram) {}

  Result<> send(std::string_view bytes) override {
    while (bytes.starts_with('$')) {
      const auto hash = bytes.find('#');
      coming_ += "+" + gdbproto::wire_packet(answer(std::string(bytes.substr(1, hash - 1))));
      bytes.remove_prefix(hash + 3);
    }
    return {};
  }
  Result<> receive(std::string& into, std::chrono::milliseconds) override {
    if (gone) return fail(Errc::kDisconnected, "gone");
    if (coming_.empty()) return fail(Errc::kTimeout, "nothing asked");
    into += std::exchange(coming_, {});
    return {};
  }

  std::string answer(const std::string& packet) {
    if (packet == "qSupported") return "PacketSize=1000;qXfer:features:read+;vContSupported+";
    if (packet.starts_with("qXfer:features:read:target.xml:0,")) {
      return "l" + std::string(kX86TargetXml);
    }
    if (packet == "qfThreadInfo") return "m01";
    if (packet == "qsThreadInfo") return "l";
    if (packet.starts_with('m')) return memory(packet);
    return "OK";
  }

  bool gone = false;
  unsigned reads = 0;

 private:
  std::string memory(const std::string& packet) {
    ++reads;
    unsigned long long at = 0;
    unsigned long long size = 0;
    if (std::sscanf(packet.c_str(), "m%llx,%llx", &at, &size) != 2) return "E22";
    const std::uint64_t offset = Pa{at} - at_;
    if (offset > ram_.size() || size > ram_.size() - offset) return "E14";
    std::string hex;
    for (const std::byte byte : ram_.subspan(offset, size)) {
      constexpr char kDigits[] = "0123456789abcdef";
      const auto value = std::to_integer<unsigned>(byte);
      hex += {kDigits[value / 16], kDigits[value % 16]};
    }
    return hex;
  }

  Pa at_;
  std::span<const std::byte> ram_;
  std::string coming_;
};

}  // namespace swat::daemon
