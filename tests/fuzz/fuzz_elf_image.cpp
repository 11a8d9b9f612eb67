// Any bytes as the memory around an ELF header. Seeds: libraries linked with --nmagic, which are
// their own memory image (tests/symbols/samples).
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>

#include "symbols/elf_image.hpp"

namespace swat::symbols {
namespace {

constexpr Va kBase{0x10000};
constexpr std::uint64_t kPage = 4096;

class Bytes final : public VirtualMemory {
 public:
  explicit Bytes(std::span<const std::byte> bytes, std::optional<std::uint64_t> lost = {})
      : bytes_(bytes), lost_(lost) {}

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    while (!into.empty()) {
      const std::uint64_t offset = at - kBase;
      if (offset >= bytes_.size() || offset / kPage == lost_) {
        return fail(Errc::kFault, "not mapped", at.value);
      }
      const std::uint64_t rest = std::min(kPage - offset % kPage, bytes_.size() - offset);
      const auto n = std::min<std::size_t>(rest, into.size());
      std::memcpy(into.data(), bytes_.data() + offset, n);
      into = into.subspan(n);
      at = at + n;
    }
    return {};
  }

 private:
  std::span<const std::byte> bytes_;
  std::optional<std::uint64_t> lost_;
};

void require(bool holds) {
  if (!holds) std::abort();
}

void read_all(Bytes& memory) {
  const auto image = ElfImage::open(memory, kBase);
  if (!image) return;
  require(image->extent().contains(kBase));
  if (const auto exports = image->exports(memory)) {
    for (const ElfExport& e : *exports) require(image->extent().contains(e.address));
  }
  if (const auto slots = image->import_slots(memory)) {
    for (const ImportSlot& slot : *slots) require(image->extent().contains(slot.slot));
  }
  static_cast<void>(image->soname(memory));
  static_cast<void>(image->build_id(memory));
}

}  // namespace
}  // namespace swat::symbols

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  swat::symbols::Bytes whole(bytes);
  swat::symbols::read_all(whole);
  swat::symbols::Bytes holed(bytes, 1);
  swat::symbols::read_all(holed);
  return 0;
}
