#include "gdbproto/packet.hpp"

#include <algorithm>

#include "gdbproto/hex.hpp"

namespace swat::gdbproto {
namespace {

constexpr char kEscape = '}';
constexpr char kEscapeFlip = 0x20;
constexpr char kRunLength = '*';
// "0*~": the character after '*' is the number of further repeats plus this.
constexpr int kRunBias = 29;
constexpr std::size_t kChecksumDigits = 2;

bool needs_escape(char c) { return c == '$' || c == '#' || c == kEscape || c == kRunLength; }

std::uint8_t checksum(std::string_view wire) {
  unsigned sum = 0;
  for (const char c : wire) sum += static_cast<unsigned char>(c);
  return static_cast<std::uint8_t>(sum);
}

tl::unexpected<Error> bad(std::string what) { return fail(Errc::kProtocol, std::move(what)); }

// How often the last character is repeated, for the character after '*'; 0: no valid count.
std::size_t repeats(char count) {
  const int n = static_cast<unsigned char>(count) - kRunBias;
  return count < ' ' || count > '~' ? 0 : static_cast<std::size_t>(n);
}

Result<std::string> unescape(std::string_view wire) {
  // What QEMU sends is hex digits, nearly always.
  const bool is_plain = wire.find(kEscape) == wire.npos && wire.find(kRunLength) == wire.npos;
  if (is_plain) return std::string(wire);
  std::string payload;
  payload.reserve(wire.size());
  for (std::size_t i = 0; i < wire.size(); ++i) {
    const char c = wire[i];
    if (c != kEscape && c != kRunLength) {
      payload.push_back(c);
      continue;
    }
    if (++i == wire.size()) return bad("packet ends within an escape");
    if (c == kEscape) {
      payload.push_back(static_cast<char>(wire[i] ^ kEscapeFlip));
      continue;
    }
    const std::size_t n = repeats(wire[i]);
    if (n == 0 || payload.empty()) return bad("run length without sense");
    if (payload.size() + n > FrameDecoder::kMaxFrame) return bad("packet expands without bound");
    payload.append(n, payload.back());
  }
  return payload;
}

}  // namespace

void append_packet(std::string& wire, std::string_view payload) {
  wire.push_back('$');
  const std::size_t start = wire.size();
  for (const char c : payload) {
    if (needs_escape(c)) {
      wire.push_back(kEscape);
      wire.push_back(static_cast<char>(c ^ kEscapeFlip));
    } else {
      wire.push_back(c);
    }
  }
  const std::uint8_t sum = checksum(std::string_view(wire).substr(start));
  wire.push_back('#');
  append_hex_number(wire, sum, kChecksumDigits);
}

std::string encode_packet(std::string_view payload) {
  std::string wire;
  wire.reserve(payload.size() + 4);
  append_packet(wire, payload);
  return wire;
}

Result<std::optional<Frame>> FrameDecoder::next() {
  if (consumed_ == buffer_.size()) return wait_for_more();
  const char first = buffer_[consumed_];
  if (first == '+' || first == '-') {
    ++consumed_;
    return Frame{first == '+' ? Frame::Kind::kAck : Frame::Kind::kNack, {}};
  }
  if (first != '$') {
    consumed_ = std::min(buffer_.find_first_of("+-$", consumed_), buffer_.size());
    return bad("bytes outside any packet");
  }
  const std::size_t hash = buffer_.find('#', std::max(consumed_ + 1, scanned_));
  scanned_ = std::min(hash, buffer_.size());
  if (hash == std::string::npos || buffer_.size() - hash <= kChecksumDigits) {
    return wait_for_more();
  }
  return take_packet(hash);
}

Result<std::optional<Frame>> FrameDecoder::wait_for_more() {
  if (buffer_.size() - consumed_ > kMaxFrame) {
    buffer_.clear();
    consumed_ = scanned_ = 0;
    return bad("packet without end");
  }
  buffer_.erase(0, consumed_);
  scanned_ -= std::min(scanned_, consumed_);
  consumed_ = 0;
  return std::nullopt;
}

Result<std::optional<Frame>> FrameDecoder::take_packet(std::size_t hash) {
  const std::string_view all = buffer_;
  const std::string_view wire = all.substr(consumed_ + 1, hash - consumed_ - 1);
  const auto sum = parse_hex_number(all.substr(hash + 1, kChecksumDigits));
  consumed_ = scanned_ = hash + 1 + kChecksumDigits;
  if (wire.size() > kMaxFrame) return bad("packet without end");
  if (!sum || *sum != checksum(wire)) return bad("packet with a wrong checksum");
  return Frame{Frame::Kind::kPacket, SWAT_TRY(unescape(wire))};
}

}  // namespace swat::gdbproto
