// A gdbstub that follows a script: what it must be told, and what it answers.
//
//   ScriptedPeer qemu({{"m1000,800", "E14"}, {"c"}});
//
// Every test that uses it also proves that nothing is sent which QEMU mishandles (facts/qemu.md
// sections 1 and 3): see Rules.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gdbproto/link.hpp"

namespace swat::gdbproto {

// "$" payload "#" checksum; written apart from the code under test.
inline std::string wire_packet(std::string_view payload) {
  unsigned sum = 0;
  for (const char c : payload) sum += static_cast<unsigned char>(c);
  static constexpr char kDigits[] = "0123456789abcdef";
  return "$" + std::string(payload) + "#" + kDigits[sum / 16 % 16] + kDigits[sum % 16];
}

// What one receive() yields, or how it fails.
struct Reply {
  Reply(const char* payload) : bytes(wire_packet(payload)) {}
  Reply(const std::string& payload) : bytes(wire_packet(payload)) {}

  [[nodiscard]] static Reply raw(std::string bytes) {
    Reply reply("");
    reply.bytes = std::move(bytes);
    return reply;
  }
  [[nodiscard]] static Reply fails(Errc code) {
    Reply reply = raw("");
    reply.error = code;
    return reply;
  }

  std::string bytes;
  std::optional<Errc> error;
};

// `command` is a packet's payload, or one bare byte: "\x03", "+" or "$".
struct Turn {
  Turn(std::string command_) : command(std::move(command_)) {}
  Turn(std::string command_, std::initializer_list<Reply> replies_)
      : command(std::move(command_)), replies(replies_) {}
  template <class... Replies>
  Turn(std::string command_, Replies... replies_)
      : command(std::move(command_)), replies{Reply(replies_)...} {}

  std::string command;
  std::vector<Reply> replies;
};

// What must never be sent, checked on everything that is.
class Rules {
 public:
  void sent(std::string_view command) {
    EXPECT_FALSE(over_) << "a packet after D: " << command;
    for (const std::string_view bad : {"?", "k", "vKill", "G", "X", "R", "bs", "bc", "!"}) {
      EXPECT_FALSE(command == bad || (bad != "?" && bad.size() == 1 && command.starts_with(bad)) ||
                   (bad.size() > 1 && command.starts_with(bad)))
          << "QEMU mishandles " << command;
    }
    EXPECT_EQ(command.find("multiprocess"), std::string_view::npos) << command;
    if (command.starts_with('D')) over_ = true;
    if (command.starts_with("qXfer:features:read:")) seen_xml_ = true;
    if (command.starts_with('p') || command.starts_with('P')) {
      EXPECT_TRUE(seen_xml_) << "QEMU 7.2 answers no " << command << " before target.xml was read";
    }
  }
  // A resume stands last in its write, save the '$' that stops the guest at once.
  void written(const std::vector<std::string>& commands) const {
    for (std::size_t i = 0; i + 1 < commands.size(); ++i) {
      const std::string& command = commands[i];
      const bool resumes = command.starts_with('c') || command.starts_with("vCont;") ||
                           command.starts_with('s') || command == "qRcmd,636f6e74";  // HMP `cont`
      EXPECT_FALSE(resumes && commands[i + 1] != "$") << command << " is not the last of its write";
    }
  }
  void assume_xml_was_read() { seen_xml_ = true; }

 private:
  bool over_ = false;
  bool seen_xml_ = false;
};

class ScriptedPeer : public Link {
 public:
  using Millis = std::chrono::milliseconds;

  ScriptedPeer(std::initializer_list<Turn> turns) : turns_(turns) {}
  explicit ScriptedPeer(std::vector<Turn> turns) : turns_(turns.begin(), turns.end()) {}
  ~ScriptedPeer() override {
    for (const Turn& turn : turns_) ADD_FAILURE() << "was never told " << turn.command;
  }

  void then(std::initializer_list<Turn> turns) { turns_.insert(turns_.end(), turns); }
  // Bytes that come unasked, now.
  void say(Reply reply) { coming_.push_back(std::move(reply)); }
  // At most so many bytes a receive().
  void drip(std::size_t bytes) { drip_ = bytes; }
  // For tests of single operations, which script no handshake.
  Rules& rules() { return rules_; }

  [[nodiscard]] const std::vector<std::string>& commands() const { return commands_; }
  [[nodiscard]] std::size_t writes() const { return writes_; }
  // The timeouts that ran out.
  [[nodiscard]] const std::vector<Millis>& waited() const { return waited_; }

  [[nodiscard]] Result<> send(std::string_view bytes) override {
    ++writes_;
    std::vector<std::string> commands = split(bytes);
    rules_.written(commands);
    for (std::string& command : commands) answer(std::move(command));
    return {};
  }

  [[nodiscard]] Result<> receive(std::string& into, Millis timeout) override {
    if (coming_.empty()) {
      waited_.push_back(timeout);
      return fail(Errc::kTimeout, "nothing scripted");
    }
    Reply& reply = coming_.front();
    if (reply.error) {
      const Errc code = *reply.error;
      if (code != Errc::kDisconnected) coming_.pop_front();  // that one is for ever
      return fail(code, "scripted");
    }
    const std::size_t n = std::min(drip_, reply.bytes.size());
    into.append(reply.bytes, 0, n);
    reply.bytes.erase(0, n);
    if (reply.bytes.empty()) coming_.pop_front();
    return {};
  }

 private:
  // Payloads of packets, and bare bytes.
  static std::vector<std::string> split(std::string_view bytes) {
    std::vector<std::string> commands;
    while (!bytes.empty()) {
      const std::size_t hash = bytes.find('#');
      if (bytes[0] != '$' || hash == std::string_view::npos) {
        commands.emplace_back(bytes.substr(0, 1));
        bytes.remove_prefix(1);
        continue;
      }
      const std::string payload(bytes.substr(1, hash - 1));
      EXPECT_EQ(bytes.substr(0, hash + 3), wire_packet(payload));
      commands.push_back(payload);
      bytes.remove_prefix(std::min(hash + 3, bytes.size()));
    }
    return commands;
  }

  void answer(std::string command) {
    const bool bare = command == "\x03" || command == "+" || command == "$";
    if (!bare) rules_.sent(command);
    commands_.push_back(command);
    if (turns_.empty() || turns_.front().command != command) {
      ADD_FAILURE() << "told " << command << " instead of "
                    << (turns_.empty() ? "nothing" : turns_.front().command);
      coming_.push_back(Reply::fails(Errc::kDisconnected));
      return;
    }
    if (!bare) coming_.push_back(Reply::raw("+"));
    for (Reply& reply : turns_.front().replies) coming_.push_back(std::move(reply));
    turns_.pop_front();
  }

  std::deque<Turn> turns_;
  std::deque<Reply> coming_;
  std::vector<std::string> commands_;
  std::vector<Millis> waited_;
  Rules rules_;
  std::size_t writes_ = 0;
  std::size_t drip_ = static_cast<std::size_t>(-1);
};

// A stub with one vCPU "01", packet size 0x1000, and three registers in a `g` of 20 bytes:
// rax 0, rip 1, eflags 2 (4 bytes).
inline constexpr std::string_view kTinyTargetXml =
    R"(<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target>)"
    R"(<architecture>i386:x86-64</architecture><feature name="org.gnu.gdb.i386.core">)"
    R"(<reg name="rax" bitsize="64"/><reg name="rip" bitsize="64"/>)"
    R"(<reg name="eflags" bitsize="32"/></feature></target>)";

inline std::vector<Turn> handshake_turns(std::vector<std::string> threads = {"01"}) {
  std::vector<Turn> turns;
  turns.emplace_back("qSupported", "PacketSize=1000;qXfer:features:read+;vContSupported+");
  turns.emplace_back("qXfer:features:read:target.xml:0,800", "l" + std::string(kTinyTargetXml));
  std::string question = "qfThreadInfo";
  for (const std::string& thread : threads) {
    turns.emplace_back(question, "m" + thread);
    question = "qsThreadInfo";
  }
  turns.emplace_back(question, "l");
  return turns;
}

// handshake_turns() and what follows them.
inline std::vector<Turn> after_handshake(std::initializer_list<Turn> turns,
                                         std::vector<std::string> threads = {"01"}) {
  std::vector<Turn> all = handshake_turns(std::move(threads));
  all.insert(all.end(), turns);
  return all;
}

}  // namespace swat::gdbproto
