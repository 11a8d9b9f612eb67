#include "gdbproto/packet.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace swat::gdbproto {
namespace {

struct Row {
  const char* wire;
  const char* payload;
};

// Frames of real QEMUs and of the manual's examples. [GDB manual, "Overview": "0* " is "0000"]
const Row kRows[] = {
    {"$OK#9a", "OK"},
    {"$#00", ""},
    {"$E14#aa", "E14"},
    {"$T05thread:01;#07", "T05thread:01;"},
    {"$QC01#f5", "QC01"},
    {"$QC01#F5", "QC01"},
    {"$0* #7a", "0000"},
    {"$ab*\"c#72", "abbbbbbc"},
    {"$}\x03}\x04}]}\x0a#62", "#$}*"},
    {"$}\x03* #ca", "####"},
};

TEST(Packet, DecodesEveryFrameAtEverySplit) {
  for (const Row& row : kRows) {
    const std::string wire = row.wire;
    for (std::size_t split = 0; split <= wire.size(); ++split) {
      FrameDecoder decoder;
      decoder.feed(wire.substr(0, split));
      Result<std::optional<Frame>> frame = decoder.next();
      ASSERT_TRUE(frame) << wire << " at " << split << ": " << frame.error().what;
      EXPECT_EQ(frame->has_value(), split == wire.size());
      decoder.feed(wire.substr(split));
      if (!*frame) frame = decoder.next();
      ASSERT_TRUE(frame && *frame) << wire << " at " << split;
      EXPECT_EQ((*frame)->payload, row.payload);
      EXPECT_FALSE(*decoder.next());
    }
  }
}

TEST(Packet, EncodesWhatItDecodes) {
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  FrameDecoder decoder;
  decoder.feed(encode_packet(all));
  EXPECT_EQ((*decoder.next())->payload, all);
}

TEST(Packet, EncodesAsGdbDoes) {
  EXPECT_EQ(encode_packet("g"), "$g#67");
  EXPECT_EQ(encode_packet("qSupported"), "$qSupported#37");
  EXPECT_EQ(encode_packet("#"), "$}\x03#80");
}

TEST(Packet, TellsAcksFromPackets) {
  FrameDecoder decoder;
  decoder.feed("+-+$OK#9a+");
  std::vector<Frame::Kind> kinds;
  for (auto frame = decoder.next(); frame && *frame; frame = decoder.next()) {
    kinds.push_back((*frame)->kind);
  }
  using enum Frame::Kind;
  EXPECT_EQ(kinds, (std::vector{kAck, kNack, kAck, kPacket, kAck}));
}

TEST(Packet, DropsABadFrameAndGoesOn) {
  for (const char* bad :
       {"$OK#9b", "$OK#zz", "$*~#a8", "$a*\x1f#aa", "$a}#de", "$a*#8b", "noise"}) {
    FrameDecoder decoder;
    decoder.feed(bad);
    decoder.feed("$OK#9a");
    const auto refused = decoder.next();
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, Errc::kProtocol);
    const auto good = decoder.next();
    ASSERT_TRUE(good && *good) << bad;
    EXPECT_EQ((*good)->payload, "OK");
  }
}

TEST(Packet, CutsOffAPeerThatNeverSendsTheEnd) {
  FrameDecoder decoder;
  const std::string piece(1 << 16, 'a');
  decoder.feed("$");
  std::size_t fed = 0;
  Result<std::optional<Frame>> frame = std::optional<Frame>();
  for (; frame && fed < 4 * FrameDecoder::kMaxFrame; fed += piece.size()) {
    decoder.feed(piece);
    frame = decoder.next();
  }
  EXPECT_FALSE(frame);
  EXPECT_LE(fed, FrameDecoder::kMaxFrame + 2 * piece.size());
}

TEST(Packet, RefusesARunLengthThatExpandsWithoutBound) {
  std::string payload = "a";
  for (std::size_t i = 0; i < FrameDecoder::kMaxFrame / 90; ++i) payload += "*~";
  unsigned sum = 0;
  for (const char c : payload) sum += static_cast<unsigned char>(c);
  char end[4];
  std::snprintf(end, sizeof(end), "#%02x", sum & 0xff);
  FrameDecoder decoder;
  decoder.feed("$" + payload + end);
  EXPECT_FALSE(decoder.next());
}

TEST(Packet, DecodesManyFramesOfOneReceive) {
  FrameDecoder decoder;
  for (int i = 0; i < 1000; ++i) decoder.feed("+" + encode_packet(std::to_string(i)));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ((*decoder.next())->kind, Frame::Kind::kAck);
    EXPECT_EQ((*decoder.next())->payload, std::to_string(i));
  }
  EXPECT_FALSE(*decoder.next());
}

}  // namespace
}  // namespace swat::gdbproto
