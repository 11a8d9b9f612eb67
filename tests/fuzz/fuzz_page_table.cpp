// Page tables: the first byte picks the geometry, the next eight are an address, the rest is RAM.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "osmodels/page_table.hpp"

namespace {

class InputRam final : public swat::PhysicalMemory {
 public:
  explicit InputRam(std::span<const std::uint8_t> bytes)
      : bytes_(bytes), ranges_{{swat::Pa{0}, swat::Pa{bytes.size()}}} {}

  const std::vector<swat::PaRange>& ranges() const override { return ranges_; }
  swat::Result<> read(swat::Pa at, std::span<std::byte> into) override {
    if (at.value > bytes_.size() || bytes_.size() - at.value < into.size()) {
      return swat::fail(swat::Errc::kFault, "beyond the input", at.value);
    }
    std::memcpy(into.data(), bytes_.data() + at.value, into.size());
    return {};
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::vector<swat::PaRange> ranges_;
};

// Leaves come in order, do not overlap, and say what a look-up of their start says.
void check_leaves(swat::os::AddressSpace& space, swat::VaRange range) {
  constexpr int kMostLeaves = 2000;
  int seen = 0;
  std::uint64_t last = 0;
  const auto visit = [&](swat::Va at, const swat::os::Translation& to) {
    if (seen > 0 && at.value <= last) std::abort();
    last = at.value + (to.page_bytes - 1);
    const auto found = space.translate(at);
    if (!found || found->at != to.at || found->writable != to.writable) std::abort();
    return ++seen < kMostLeaves;
  };
  (void)space.for_each_leaf(range, visit).has_value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::string_view kNames[] = {"x86_64-4level", "x86_64-5level", "i386", "i386-pae"};
  std::uint64_t at = 0;
  if (size < 1 + sizeof(at)) return 0;
  std::memcpy(&at, data + 1, sizeof(at));
  InputRam ram({data + 1 + sizeof(at), size - 1 - sizeof(at)});
  swat::os::AddressSpace space(ram, *swat::os::find_geometry(kNames[*data % 4]), swat::Pa{0});
  std::vector<std::byte> bytes(5000);
  (void)space.read(swat::Va{at}, bytes).has_value();
  space.forget();
  constexpr std::uint64_t kSpan = 1 << 26;
  if (at < ~kSpan) check_leaves(space, {swat::Va{at}, swat::Va{at + kSpan}});
  return 0;
}
