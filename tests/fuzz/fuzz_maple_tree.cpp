// Maple trees: the first eight bytes of the input are the root, the rest is the memory at kBase.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "osmodels/linux/maple_tree.hpp"

namespace {

constexpr std::uint64_t kBase = 0xffff888000010000;

class InputMemory final : public swat::VirtualMemory {
 public:
  explicit InputMemory(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  swat::Result<> read(swat::Va at, std::span<std::byte> into) override {
    const std::uint64_t offset = at.value - kBase;
    if (offset > bytes_.size() || bytes_.size() - offset < into.size()) {
      return swat::fail(swat::Errc::kFault, "beyond the input", at.value);
    }
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
    return {};
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMostEntries = 500;
  std::uint64_t root = 0;
  if (size < sizeof(root)) return 0;
  std::memcpy(&root, data, sizeof(root));
  InputMemory memory({data + sizeof(root), size - sizeof(root)});
  const auto entries =
      swat::os::read_maple_tree(memory, root, kMostEntries, swat::os::kX86_64Layout);
  if (!entries) return 0;
  if (entries->size() > kMostEntries) std::abort();
  for (std::size_t i = 0; i < entries->size(); ++i) {
    if ((*entries)[i].first > (*entries)[i].last) std::abort();
    if (i > 0 && (*entries)[i].first <= (*entries)[i - 1].last) std::abort();
  }
  return 0;
}
