// Any bytes as the code of an NT kernel's accessors: a byte that is odd for a kernel of 32 bits, a
// build of 16 bits whose rows complete what they tell, and the functions, of 16 bytes each.
#include <cstdint>

#include "input.hpp"
#include "osmodels/windows/chosen_offsets.hpp"

namespace swat::fuzz {
namespace {

using namespace os::windows;

constexpr std::uint64_t kMostOffset = 0x10000;
constexpr std::uint64_t kFunctionBytes = 16;

// In the order in which they are asked for.
class Exports {
 public:
  Exports(Va base, std::size_t code_bytes) : at_(base), end_(base + code_bytes) {}

  std::optional<Va> next() {
    if (at_ >= end_) return {};
    const Va found = at_;
    at_ = at_ + kFunctionBytes;
    return found;
  }

 private:
  Va at_;
  Va end_;
};

void check(const WindowsOffsets& told, unsigned word_bytes) {
  for (const MemberOffset& member :
       {told.pcr_current_thread, told.thread_process, told.thread_client_id, told.process_pid,
        told.process_parent_pid, told.process_name, told.process_peb, told.process_wow64}) {
    require(!member || *member < kMostOffset);
  }
  require(told.process_links.has_value() == told.process_pid.has_value());
  require(!told.process_links || *told.process_links == *told.process_pid + word_bytes);
  require(!told.process_vad_root);
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  using namespace swat::fuzz;
  constexpr Va kCode{0x80500000};
  Input input(data, size);
  const unsigned word_bytes = (input.take<std::uint8_t>() & 1) != 0 ? 4 : 8;
  const auto build = input.take<std::uint16_t>();
  SpanMemory code(kCode, input.rest());
  Exports exports(kCode, input.rest().size());
  const auto told = os::windows::offsets_by_accessors(
      code, [&](std::string_view) { return exports.next(); }, word_bytes);
  check(told, word_bytes);
  for (const auto& candidate :
       os::windows::offset_candidates(told, os::windows::rows_near(build, word_bytes))) {
    const auto& offsets = candidate.offsets;
    require(offsets.pcr_current_thread && offsets.thread_process && offsets.thread_client_id);
    require(offsets.process_pid && offsets.process_links && offsets.process_parent_pid);
    require(offsets.process_name && offsets.process_peb && !candidate.found_by.empty());
  }
  return 0;
}
