// A Session that has shaken hands with a scripted stub of QEMU's.
#pragma once

#include <gtest/gtest.h>

#include "gdbproto/session.hpp"
#include "tests/gdbproto/scripted_peer.hpp"

namespace swat::gdbproto {

inline constexpr ThreadId kFirst{std::nullopt, 1};
inline constexpr ThreadId kSecond{std::nullopt, 2};
inline constexpr const char* kG = "0100000000000000002000000000000046020000";
inline constexpr const char* kSync = "qqemu.sstepbits";
inline constexpr const char* kSynced = "ENABLE=1,NOIRQ=2,NOTIMER=4";

struct Opened {
  explicit Opened(std::initializer_list<Turn> turns, std::vector<std::string> threads = {"01"})
      : qemu(after_handshake(turns, std::move(threads))), session(qemu) {
    EXPECT_TRUE(session.handshake());
    writes_before = qemu.writes();
    waits_before = qemu.waited().size();
  }
  [[nodiscard]] std::size_t writes() const { return qemu.writes() - writes_before; }

  ScriptedPeer qemu;
  Session session;
  std::size_t writes_before = 0;
  std::size_t waits_before = 0;
};

}  // namespace swat::gdbproto
