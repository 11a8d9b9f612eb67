// A monitor that says anything, in pieces of any size. It answers with what the input holds.
#include <cstdint>

#include "gdbproto/qmp.hpp"

namespace {

using namespace swat;

class Monitor : public gdbproto::Link {
 public:
  Monitor(std::string_view bytes, std::size_t piece) : rest_(bytes), piece_(piece) {}
  Result<> send(std::string_view) override { return {}; }
  Result<> receive(std::string& into, std::chrono::milliseconds) override {
    if (rest_.empty()) return fail(Errc::kTimeout, "end of input");
    into.append(rest_.substr(0, piece_));
    rest_.remove_prefix(std::min(piece_, rest_.size()));
    return {};
  }

 private:
  std::string_view rest_;
  std::size_t piece_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = data[0] == 0 ? size : data[0];
  Monitor monitor({reinterpret_cast<const char*>(data) + 1, size - 1}, piece);
  gdbproto::Qmp qmp(monitor);
  if (!qmp.handshake()) return 0;
  (void)qmp.run_state();
  (void)qmp.monitor("info status");
  (void)qmp.execute("query-version", "{}");
  while (qmp.next_event(std::chrono::milliseconds(0))) {
  }
  return 0;
}
