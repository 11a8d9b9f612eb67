#include "symbols/ksymtab.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

// Exported by every kernel of some era. Other tables of {something, name} have one or two of them
// (trace events know kfree), only the real one has several.
constexpr std::array<std::string_view, 8> kAnchors = {
    "init_task", "printk", "_printk", "vfree", "kfree", "__kmalloc", "register_chrdev", "schedule"};

constexpr std::size_t kMinEntries = 64;
constexpr std::ptrdiff_t kMinAnchors = 3;
constexpr std::size_t kMaxEntries = 1 << 17;
constexpr std::size_t kMaxNameBytes = 512;
constexpr std::size_t kMaxAnchorStrings = 256;
constexpr std::size_t kMaxSteps = 4u << 20;  // entries read in one search

// struct kernel_symbol: {value, name}, and since 5.4 {value, name, namespace}. A field is a
// pointer, or since 4.19 on x86 and arm64 its 32-bit distance from the field itself.
// [include/linux/export.h, HAVE_ARCH_PREL32_RELOCATIONS; include/linux/module.h for 2.4]
struct Shape {
  bool place_relative;
  unsigned fields;
};
constexpr std::array<Shape, 4> kShapes = {{{true, 3}, {true, 2}, {false, 3}, {false, 2}}};
constexpr std::size_t kMaxPhases = 6;  // of tables of one shape: their stride in units of 4 bytes

bool is_identifier(std::string_view text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '$';
  };
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9') && std::ranges::all_of(text, plain);
}

// "printk_R1b7d4074" and "printk_Rsmp_1b7d4074" are printk. [include/linux/modversions.h, 2.4]
std::string_view without_checksum(std::string_view name) {
  const std::size_t at = name.rfind("_R");
  if (at == std::string_view::npos || at == 0) return name;
  std::string_view sum = name.substr(at + 2);
  if (sum.starts_with("smp_")) sum.remove_prefix(4);
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return sum.size() == 8 && std::ranges::all_of(sum, is_hex) ? name.substr(0, at) : name;
}

class KsymtabFinder {
 public:
  explicit KsymtabFinder(const KernelImage& image) : image_(image) {}

  [[nodiscard]] Result<SymbolTable> find() {
    collect_anchors();
    if (anchors_.empty()) return fail(Errc::kNotFound, "no exported name in the image");
    const std::size_t first = -image_.base.value & 3;
    for (std::size_t at = first; holds(image_.bytes, at, 4) && steps_ < kMaxSteps; at += 4) {
      if (load<std::uint32_t>(image_.bytes, at) == 0) continue;  // most of memory
      for (const bool place_relative : {true, false}) {
        if (image_.address_of(at).value % field_bytes(place_relative) != 0) continue;
        if (!is_anchor(target(at, place_relative))) continue;
        if (auto table = table_around(at, place_relative)) return std::move(*table);
      }
    }
    return fail(Errc::kNotFound, "no __ksymtab in the image");
  }

 private:
  // Addresses of whole strings that say one of kAnchors.
  void collect_anchors() {
    const std::string_view text = as_text(image_.bytes);
    for (const std::string_view name : kAnchors) {
      for (std::size_t at = text.find(name); at != std::string_view::npos;
           at = text.find(name, at + 1)) {
        if (at == 0 || text[at - 1] != '\0' || anchors_.size() >= kMaxAnchorStrings) continue;
        const auto whole = load_c_string(image_.bytes, at, kMaxNameBytes);
        if (whole && without_checksum(*whole) == name)
          anchors_.push_back(image_.address_of(at).value);
      }
    }
    std::ranges::sort(anchors_);
  }

  [[nodiscard]] bool is_anchor(std::uint64_t address) const {
    if (address < anchors_.front() || address > anchors_.back()) return false;
    return std::ranges::binary_search(anchors_, address);
  }

  // What the field at `at` refers to.
  [[nodiscard]] std::uint64_t target(std::size_t at, bool place_relative) const {
    if (!place_relative) return load_word(image_.bytes, at, image_.pointer_bytes).value_or(0);
    const auto distance = load<std::int32_t>(image_.bytes, at).value_or(0);
    const std::uint64_t address =
        image_.address_of(at).value + static_cast<std::uint64_t>(std::int64_t{distance});
    return image_.pointer_bytes == 4 ? address & 0xffffffff : address;
  }

  [[nodiscard]] unsigned field_bytes(bool place_relative) const {
    return place_relative ? 4 : image_.pointer_bytes;
  }
  [[nodiscard]] std::size_t stride_of(const Shape& shape) const {
    return std::size_t{field_bytes(shape.place_relative)} * shape.fields;
  }

  struct Entry {
    std::uint64_t value;
    std::uint64_t name_at;
    std::string_view name;
  };

  [[nodiscard]] std::optional<Entry> entry(std::size_t at, const Shape& shape) {
    ++steps_;
    const unsigned field = field_bytes(shape.place_relative);
    if (!holds(image_.bytes, at, stride_of(shape))) return std::nullopt;
    const std::uint64_t value = target(at, shape.place_relative);
    const Va name_at{target(at + field, shape.place_relative)};
    if (value == 0 || !image_.range().contains(name_at)) return std::nullopt;
    const auto name = load_c_string(image_.bytes, name_at - image_.base, kMaxNameBytes);
    if (!name || !is_identifier(*name)) return std::nullopt;
    return Entry{value, name_at.value, without_checksum(*name)};
  }

  // The longest table of any shape that has an entry whose name field is at `name_at`, but for
  // those that have been refused.
  [[nodiscard]] std::optional<SymbolTable> table_around(std::size_t name_at, bool place_relative) {
    std::vector<Entry> best;
    const unsigned field = field_bytes(place_relative);
    if (name_at < field) return std::nullopt;
    for (std::size_t i = 0; i < kShapes.size(); ++i) {
      const Shape& shape = kShapes[i];
      if (shape.place_relative != place_relative) continue;
      const std::size_t from = name_at - field;
      std::size_t& seen_to = seen_to_[i][from % stride_of(shape) / 4];
      if (from < seen_to) continue;
      auto entries = extend(from, shape);
      seen_to = from + entries.size() * stride_of(shape);
      if (entries.size() > best.size()) best = std::move(entries);
    }
    if (best.size() < kMinEntries || lists_strings(best)) return std::nullopt;
    std::vector<Symbol> symbols;
    symbols.reserve(best.size());
    for (const Entry& e : best) symbols.push_back({Va{e.value}, 0, std::string(e.name)});
    SymbolTable table(std::move(symbols));
    const auto anchors = std::ranges::count_if(
        kAnchors, [&](std::string_view name) { return table.find(name).has_value(); });
    return anchors < kMinAnchors ? std::nullopt : std::optional(std::move(table));
  }

  // kallsyms_addresses has the address of every __kstrtab_* string in a row: pairs of them look
  // like entries, but their values lie among their names.
  [[nodiscard]] static bool lists_strings(const std::vector<Entry>& entries) {
    const auto [low, high] = std::ranges::minmax(entries, {}, &Entry::name_at);
    const auto among_names = std::ranges::count_if(
        entries, [&](const Entry& e) { return e.value >= low.name_at && e.value <= high.name_at; });
    return static_cast<std::size_t>(among_names) > entries.size() / 2;
  }

  [[nodiscard]] std::vector<Entry> extend(std::size_t from, const Shape& shape) {
    const std::size_t stride = stride_of(shape);
    std::size_t begin = from;
    while (begin >= stride && (from - begin) / stride < kMaxEntries && steps_ < kMaxSteps &&
           entry(begin - stride, shape))
      begin -= stride;
    std::vector<Entry> entries;
    for (std::size_t at = begin; entries.size() < 2 * kMaxEntries && steps_ < kMaxSteps;
         at += stride) {
      const auto next = entry(at, shape);
      if (!next) break;
      entries.push_back(*next);
    }
    return entries;
  }

  const KernelImage& image_;
  std::vector<std::uint64_t> anchors_;  // ascending
  std::size_t steps_ = 0;
  // Where the last table of a shape and phase that has been looked at ends.
  std::array<std::array<std::size_t, kMaxPhases>, kShapes.size()> seen_to_{};
};

}  // namespace

Result<SymbolTable> find_ksymtab(const KernelImage& image) { return KsymtabFinder(image).find(); }

}  // namespace swat::symbols
