// A session with a scripted stub, past its handshake.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "gdbproto/session.hpp"
#include "tests/gdbproto/scripted_peer.hpp"

namespace swat::daemon {

using gdbproto::Reply;
using gdbproto::Turn;

// As QEMU's of x86_64 begins; with the system registers that swatd asks for.
inline constexpr std::string_view kX86TargetXml =
    R"(<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target>)"
    R"(<architecture>i386:x86-64</architecture><feature name="org.gnu.gdb.i386.core">)"
    R"(<reg name="rax" bitsize="64"/><reg name="rbp" bitsize="64"/>)"
    R"(<reg name="rsp" bitsize="64"/><reg name="rip" bitsize="64"/>)"
    R"(<reg name="eflags" bitsize="32"/><reg name="gs_base" bitsize="64"/>)"
    R"(<reg name="k_gs_base" bitsize="64"/></feature></target>)";
inline constexpr std::size_t kX86RegisterBytes = 6 * 8 + 4;

// `g` of kX86TargetXml in hex: register number n of 8 bytes holds values[n].
inline std::string x86_registers(std::array<std::uint64_t, 7> values) {
  std::string hex;
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (unsigned byte = 0; byte < (i == 4 ? 4U : 8U); ++byte) {
      static constexpr char kDigits[] = "0123456789abcdef";
      const auto value = static_cast<unsigned>(values[i] >> (byte * 8) & 0xff);
      hex += {kDigits[value / 16], kDigits[value % 16]};
    }
  }
  return hex;
}

inline std::vector<Turn> x86_handshake(const std::vector<std::string>& threads,
                                       std::string_view xml) {
  std::vector<Turn> turns;
  turns.emplace_back("qSupported", "PacketSize=1000;qXfer:features:read+;vContSupported+");
  turns.emplace_back("qXfer:features:read:target.xml:0,800", "l" + std::string(xml));
  std::string question = "qfThreadInfo";
  for (const std::string& thread : threads) {
    turns.emplace_back(question, "m" + thread);
    question = "qsThreadInfo";
  }
  turns.emplace_back(question, "l");
  return turns;
}

struct Attached {
  explicit Attached(std::initializer_list<Turn> turns, std::vector<std::string> threads = {"01"},
                    std::string_view xml = kX86TargetXml)
      : qemu(x86_handshake(threads, xml)), session(qemu) {
    EXPECT_TRUE(session.handshake());
    writes_before = qemu.writes();
    qemu.then(turns);
  }
  [[nodiscard]] std::size_t writes() const { return qemu.writes() - writes_before; }

  gdbproto::ScriptedPeer qemu;
  gdbproto::Session session;
  std::size_t writes_before = 0;
};

}  // namespace swat::daemon
