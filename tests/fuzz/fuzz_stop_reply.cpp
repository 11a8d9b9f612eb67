#include <cstdint>
#include <cstdlib>

#include "gdbproto/stop_reply.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat::gdbproto;
  const auto stop = StopReply::parse({reinterpret_cast<const char*>(data), size});
  if (!stop || !stop->thread) return 0;
  const auto again = ThreadId::parse(stop->thread->to_string());
  if (!again || *again != *stop->thread) std::abort();
  return 0;
}
