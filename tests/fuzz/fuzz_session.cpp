// A stub that answers anything to everything that a session does. It also proves that whatever it
// is told, the session ends in bounded time and sends nothing after `D`.
#include <array>
#include <cstdint>
#include <cstdlib>

#include "gdbproto/session.hpp"

namespace {

using namespace swat;
using gdbproto::Session;

class Stub : public gdbproto::Link {
 public:
  Stub(std::string_view bytes, std::size_t piece) : rest_(bytes), piece_(piece) {}
  Result<> send(std::string_view bytes) override {
    if (detached_) std::abort();
    detached_ = bytes.find("$D#") != bytes.npos || bytes.find("$D;") != bytes.npos;
    return {};
  }
  Result<> receive(std::string& into, std::chrono::milliseconds) override {
    if (rest_.empty()) return fail(Errc::kTimeout, "end of input");
    into.append(rest_.substr(0, piece_));
    rest_.remove_prefix(std::min(piece_, rest_.size()));
    return {};
  }

 private:
  std::string_view rest_;
  std::size_t piece_;
  bool detached_ = false;
};

void use(Session& session) {
  constexpr std::chrono::milliseconds kWait(1);
  const gdbproto::ThreadId thread = session.threads().front();
  const gdbproto::Point point{gdbproto::PointKind::kWriteWatch, Va{0x1000}, 8};
  std::array<std::byte, 100> bytes{};
  (void)session.registers_of(session.threads());
  (void)session.read_register(thread, 3);
  (void)session.read(thread, Va{0xff0}, bytes);
  (void)session.read_physical(Pa{0xff0}, bytes);
  (void)session.write(thread, Va{0xff0}, bytes);
  (void)session.insert(point);
  (void)session.monitor("info status");
  (void)session.registers_and_resume(thread);
  (void)session.wait_stop(kWait);
  (void)session.resume_at(thread, Va{0x1000});
  (void)session.interrupt();
  (void)session.wait_stop(kWait);
  (void)session.remove(point);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = data[0] == 0 ? size : data[0];
  Stub stub({reinterpret_cast<const char*>(data) + 1, size - 1}, piece);
  Session session(stub);
  if (!session.handshake()) return 0;
  use(session);
  (void)session.detach(true);
  (void)session.detach(false);
  return 0;
}
