// Any bytes, cut anywhere, make frames or errors; and what was decoded encodes to what decodes
// alike.
#include <cstdint>
#include <cstdlib>

#include "gdbproto/packet.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat::gdbproto;
  if (size == 0) return 0;
  const std::size_t piece = data[0] == 0 ? size : data[0];  // how the rest is cut
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  FrameDecoder decoder;
  while (!rest.empty()) {
    decoder.feed(rest.substr(0, piece));
    rest.remove_prefix(std::min(piece, rest.size()));
    for (auto frame = decoder.next(); !frame || *frame; frame = decoder.next()) {
      if (!frame || (*frame)->kind != Frame::Kind::kPacket) continue;
      FrameDecoder again;
      again.feed(encode_packet((*frame)->payload));
      const auto same = again.next();
      if ((*frame)->payload.size() * 2 > FrameDecoder::kMaxFrame) continue;
      if (!same || !*same || (*same)->payload != (*frame)->payload) std::abort();
    }
  }
  return 0;
}
