#include "symbols/kallsyms_addresses.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

enum class Form { kAbsolute, kRelative, kRelativePercpu, kPlaceRelative };

// One way to read the table. Offsets into the image.
struct Reading {
  Form form;
  std::size_t at;       // of the array
  std::size_t base_at;  // of kallsyms_relative_base, where the form has one
  std::size_t end;      // of array and base; from here to `next` there is only padding
  std::size_t next;     // the label behind it
};

class Reader {
 public:
  Reader(const KernelImage& image, const KallsymsNames& names) : image_(image), names_(names) {}

  [[nodiscard]] std::vector<Reading> readings() const {
    std::vector<Reading> all;
    for (const std::size_t alignment : kLabelAlignments) {
      if (alignment > names_.alignment) continue;
      add_before_names(alignment, all);
      add_behind_index(alignment, all);
    }
    return all;
  }

  // nullopt: these bytes cannot be that.
  [[nodiscard]] std::optional<std::vector<Va>> decode(const Reading& reading) const {
    if (!padding_is_zero(reading)) return std::nullopt;
    if (reading.form != Form::kPlaceRelative && last_is_zero(reading)) return std::nullopt;
    const auto base = load_word(image_.bytes, reading.base_at, image_.pointer_bytes);
    if (!base) return std::nullopt;
    std::vector<Va> addresses;
    addresses.reserve(names_.count);
    for (std::size_t i = 0; i < names_.count; ++i) addresses.push_back(address(reading, i, *base));
    // Code lies before this table: else these are offsets whose base is missing.
    if (reading.form == Form::kPlaceRelative && addresses.front() >= image_.address_of(reading.at))
      return std::nullopt;
    return is_plausible(addresses) ? std::optional(std::move(addresses)) : std::nullopt;
  }

 private:
  // Downward or upward from an image offset to an alignment of the address there.
  [[nodiscard]] std::optional<std::size_t> down(std::size_t from, std::size_t bytes,
                                                std::size_t alignment) const {
    if (bytes > from) return std::nullopt;
    const std::size_t at = from - bytes;
    const std::size_t over = image_.address_of(at).value % alignment;
    return over > at ? std::nullopt : std::optional(at - over);
  }
  [[nodiscard]] std::size_t up(std::size_t from, std::size_t alignment) const {
    return from + (-image_.address_of(from).value & (alignment - 1));
  }

  void add_before_names(std::size_t alignment, std::vector<Reading>& all) const {
    const std::size_t pointer = image_.pointer_bytes;
    const std::size_t next = names_.count_at;
    if (const auto base = down(next, pointer, alignment)) {
      if (const auto at = down(*base, names_.count * 4, alignment)) {
        for (const Form form : {Form::kRelative, Form::kRelativePercpu})
          all.push_back({form, *at, *base, *base + pointer, next});
      }
    }
    if (const auto at = down(next, names_.count * pointer, alignment))
      all.push_back({Form::kAbsolute, *at, *at, *at + names_.count * pointer, next});
  }

  void add_behind_index(std::size_t alignment, std::vector<Reading>& all) const {
    const std::size_t pointer = image_.pointer_bytes;
    const std::size_t at = up(names_.tokens.index_end, alignment);
    const std::size_t end = at + names_.count * 4;
    const std::size_t base = up(end, alignment);
    if (!holds(image_.bytes, at, names_.count * 4)) return;
    for (const Form form : {Form::kRelative, Form::kRelativePercpu})
      all.push_back({form, at, base, base + pointer, base + pointer});
    const std::size_t absolute_end = at + names_.count * pointer;
    if (holds(image_.bytes, at, names_.count * pointer))
      all.push_back({Form::kAbsolute, at, at, absolute_end, absolute_end});
    all.push_back({Form::kPlaceRelative, at, at, end, end});
  }

  [[nodiscard]] std::size_t entry_bytes(const Reading& reading) const {
    return reading.form == Form::kAbsolute ? image_.pointer_bytes : 4;
  }

  [[nodiscard]] bool is_zero(std::size_t from, std::size_t to) const {
    if (from > to || to > image_.bytes.size() || to - from >= kMaxPadding) return false;
    return std::ranges::all_of(image_.bytes.subspan(from, to - from),
                               [](std::byte b) { return b == std::byte{0}; });
  }

  [[nodiscard]] bool padding_is_zero(const Reading& reading) const {
    const bool has_base = reading.base_at != reading.at;
    const std::size_t array_end = reading.at + names_.count * entry_bytes(reading);
    return (!has_base || is_zero(array_end, reading.base_at)) && is_zero(reading.end, reading.next);
  }

  // A last entry of zero is padding taken for an entry.
  [[nodiscard]] bool last_is_zero(const Reading& reading) const {
    const auto width = static_cast<unsigned>(entry_bytes(reading));
    return load_word(image_.bytes, reading.at + (names_.count - 1) * width, width).value_or(0) == 0;
  }

  [[nodiscard]] Va address(const Reading& reading, std::size_t i, std::uint64_t base) const {
    const std::size_t place = reading.at + i * entry_bytes(reading);
    if (reading.form == Form::kAbsolute)
      return Va{load_word(image_.bytes, place, image_.pointer_bytes).value_or(0)};
    const auto raw = load<std::uint32_t>(image_.bytes, place).value_or(0);
    const auto widened = static_cast<std::uint64_t>(static_cast<std::int32_t>(raw));
    switch (reading.form) {
      case Form::kRelative:
        return truncated(base + raw);
      case Form::kRelativePercpu:
        return truncated(raw >> 31 == 0 ? raw : base - 1 - widened);
      default:
        return truncated(image_.address_of(place).value + widened);
    }
  }

  [[nodiscard]] Va truncated(std::uint64_t value) const {
    return Va{image_.pointer_bytes == 4 ? value & 0xffffffff : value};
  }

  // The generator sorts by address. The first entries are where a shifted table shows; the
  // tolerance behind them is for toolchains that emit a stray absolute symbol.
  [[nodiscard]] bool is_plausible(const std::vector<Va>& addresses) const {
    const VaRange range = image_.range();
    std::size_t disorder = 0;
    std::size_t inside = range.contains(addresses.front()) ? 1 : 0;
    for (std::size_t i = 1; i < addresses.size(); ++i) {
      if (addresses[i] < addresses[i - 1]) ++disorder;
      if (range.contains(addresses[i])) ++inside;
      if (disorder > addresses.size() / 100 || (i < 3 && disorder > 0)) return false;
    }
    return inside > addresses.size() / 2;
  }

  const KernelImage& image_;
  const KallsymsNames& names_;
};

}  // namespace

std::vector<std::vector<Va>> kallsyms_addresses(const KernelImage& image,
                                                const KallsymsNames& names) {
  const Reader reader(image, names);
  std::vector<std::vector<Va>> all;
  for (const Reading& reading : reader.readings()) {
    auto addresses = reader.decode(reading);
    if (!addresses || std::ranges::find(all, *addresses) != all.end()) continue;
    all.push_back(std::move(*addresses));
  }
  return all;
}

}  // namespace swat::symbols
