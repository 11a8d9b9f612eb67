// Any bytes as the memory of a program whose import slots are watched: code, PLT stubs and slots.
// The input's first bytes are where the vCPU stands and where the call returns to.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "daemon/call_resolver.hpp"
#include "input.hpp"

namespace swat::daemon {
namespace {

constexpr Va kApp{0x400000};
constexpr Va kLib{0x500000};
constexpr std::uint64_t kSlots = 0x40;
constexpr std::uint64_t kModuleBytes = 0x1000;

LoadedModule module_of(Va base, const char* path, Image image) {
  os::Module module;
  module.range = {base, base + kModuleBytes};
  module.base = base;
  module.path = path;
  return {module, std::make_shared<const Image>(std::move(image)), true, {}};
}

ProcessView program() {
  Image app;
  app.slots = {{kSlots, "memcpy"}, {kSlots + 8, "memmove"}, {kSlots + 16, "puts"}};
  app.slot_runs = {{0, 2}};
  Image lib;
  lib.exports = {
      {0x10, "puts", "", false}, {0x20, "memcpy", "", false}, {0x20, "memmove", "", true}};
  ProcessView view;
  view.modules.push_back(module_of(kApp, "/bin/app", std::move(app)));
  view.modules.push_back(module_of(kLib, "/lib/lib.so", std::move(lib)));
  return view;
}

void resolve(std::span<const std::byte> input) {
  std::uint64_t numbers[2];
  if (input.size() < sizeof(numbers)) return;
  std::memcpy(numbers, input.data(), sizeof(numbers));
  fuzz::SpanMemory memory(kApp, input.subspan(sizeof(numbers)));
  ProcessView view = program();
  CallSite site{};
  site.watch = kApp + kSlots;
  site.pc = site.fault_address = Va{numbers[0]};
  site.return_address = Va{numbers[1]};
  for (const bool in_kernel : {false, true, false}) {
    site.in_kernel = in_kernel;
    const auto call = resolve_call(view, memory, site);
    if (call && call->function.empty()) std::abort();
  }
}

}  // namespace
}  // namespace swat::daemon

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  swat::daemon::resolve(std::as_bytes(std::span(data, size)));
  return 0;
}
