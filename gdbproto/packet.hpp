// RSP framing: "$" payload "#" two hex digits, and what goes on beside it.
// [GDB manual, "Remote Serial Protocol: Overview"]
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "symbols/result.hpp"

namespace swat::gdbproto {

// "$" payload "#" and the sum of the payload's wire bytes mod 256. '$' '#' '}' '*' are escaped.
std::string encode_packet(std::string_view payload);
// The same, at the end of `wire`.
void append_packet(std::string& wire, std::string_view payload);

struct Frame {
  enum class Kind { kPacket, kAck, kNack } kind;
  std::string payload;  // unescaped, run lengths expanded; empty but for kPacket
};

// Bytes in, frames out; owns no socket and no clock, so every split of the input is testable.
class FrameDecoder {
 public:
  static constexpr std::size_t kMaxFrame = 1 << 20;  // a peer that never sends '#' is cut off here

  void feed(std::string_view bytes) { buffer_.append(bytes); }

  // nullopt: the frame is not complete yet. After an error the bad frame is gone; call again.
  // Bytes that belong to no frame are an error, one for each run of them: QEMU sends none.
  [[nodiscard]] Result<std::optional<Frame>> next();

 private:
  [[nodiscard]] Result<std::optional<Frame>> wait_for_more();
  [[nodiscard]] Result<std::optional<Frame>> take_packet(std::size_t hash);

  std::string buffer_;
  std::size_t consumed_ = 0;
  std::size_t scanned_ = 0;  // no '#' of the current frame lies before this
};

}  // namespace swat::gdbproto
