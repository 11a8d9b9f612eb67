#include "symbols/kallsyms_stems.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "symbols/kallsyms_tokens.hpp"
#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

constexpr std::size_t kMinSymbols = 256;
constexpr std::size_t kMaxSymbols = 1 << 20;
constexpr std::size_t kMaxNameBytes = 127;  // namebuf[128]
constexpr std::size_t kMaxSteps = 64u << 20;

class StemFinder {
 public:
  explicit StemFinder(const KernelImage& image) : image_(image) {}

  [[nodiscard]] Result<SymbolTable> find() {
    const unsigned pointer = image_.pointer_bytes;
    const std::size_t first = -image_.base.value & (pointer - 1);
    for (std::size_t at = first; holds(image_.bytes, at, pointer); at += pointer) {
      const std::uint64_t count = word(at);
      if (count < kMinSymbols || count > kMaxSymbols) continue;
      if (auto table = table_at(at, count)) return std::move(*table);
      if (steps_ > kMaxSteps) return fail(Errc::kBadImage, "too many false kallsyms");
    }
    return fail(Errc::kNotFound, "no kallsyms in the image");
  }

 private:
  [[nodiscard]] std::uint64_t word(std::size_t at) const {
    return load_word(image_.bytes, at, image_.pointer_bytes).value_or(0);
  }

  // Names first, as they are the stricter test.
  [[nodiscard]] std::optional<SymbolTable> table_at(std::size_t count_at, std::size_t count) {
    const auto addresses = addresses_before(count_at, count);
    if (!addresses) return std::nullopt;
    for (const std::size_t alignment : kLabelAlignments) {
      const std::size_t behind = count_at + image_.pointer_bytes;
      const std::size_t names = behind + (-image_.address_of(behind).value & (alignment - 1));
      if (auto symbols = names_at(names, count)) {
        for (std::size_t i = 0; i < count; ++i)
          (*symbols)[i].address = Va{word(*addresses + i * image_.pointer_bytes)};
        return SymbolTable(std::move(*symbols));
      }
    }
    return std::nullopt;
  }

  // Where `count` ascending addresses end, with nothing but alignment before `end`.
  [[nodiscard]] std::optional<std::size_t> addresses_before(std::size_t end, std::size_t count) {
    const std::size_t pointer = image_.pointer_bytes;
    std::size_t last = end;  // one behind the last address
    while (last >= pointer && end - last < kMaxPadding && word(last - pointer) == 0)
      last -= pointer;
    if (last < count * pointer || !image_.range().contains(Va{word(last - pointer)}))
      return std::nullopt;
    const std::size_t at = last - count * pointer;
    for (std::size_t i = 1; i < count; ++i) {
      ++steps_;
      if (word(at + i * pointer) < word(at + (i - 1) * pointer)) return std::nullopt;
    }
    return image_.range().contains(Va{word(at)}) ? std::optional(at) : std::nullopt;
  }

  [[nodiscard]] std::optional<std::vector<Symbol>> names_at(std::size_t at, std::size_t count) {
    std::vector<Symbol> symbols;
    std::string name;
    for (std::size_t i = 0; i < count; ++i) {
      ++steps_;
      const auto stem = load<std::uint8_t>(image_.bytes, at);
      if (!stem || *stem > name.size()) return std::nullopt;
      const auto rest = load_c_string(image_.bytes, at + 1, kMaxNameBytes + 1);
      if (!rest || *stem + rest->size() > kMaxNameBytes) return std::nullopt;
      name.resize(*stem);
      name += *rest;
      if (name.empty()) return std::nullopt;
      symbols.push_back({Va{}, 0, name});
      at += 1 + rest->size() + 1;
    }
    return symbols;
  }

  const KernelImage& image_;
  std::size_t steps_ = 0;
};

}  // namespace

Result<SymbolTable> find_stem_kallsyms(const KernelImage& image) {
  return StemFinder(image).find();
}

}  // namespace swat::symbols
