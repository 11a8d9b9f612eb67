#include "symbols/kallsyms_names.hpp"

#include <algorithm>
#include <cstdint>
#include <span>

#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kBlock = 256;                 // entries a marker
constexpr std::size_t kMaxReach = 24u << 20;        // names and markers lie this near
constexpr std::size_t kMaxEntryBytes = 2 + 512;     // a name that no token shortens
constexpr std::size_t kMinBlockBytes = kBlock * 2;  // a length and one token each
constexpr std::size_t kMaxBlockBytes = kBlock * kMaxEntryBytes;
constexpr std::size_t kMinMarkers = 3;  // fewer would match by chance
constexpr std::size_t kMaxNameBytes = 1024;
constexpr std::size_t kMaxCandidates = 4096;

struct Markers {
  Bytes bytes;
  std::size_t at;
  unsigned word_bytes;  // sizeof(long) until 4.19, 4 since
  std::size_t count;

  [[nodiscard]] std::uint64_t operator[](std::size_t i) const {
    return load_word(bytes, at + i * word_bytes, word_bytes).value_or(0);
  }
  [[nodiscard]] std::size_t end() const { return at + count * word_bytes; }
};

struct Entry {
  std::size_t body;  // first token
  std::size_t length;
  [[nodiscard]] std::size_t next() const { return body + length; }
};

std::optional<Entry> entry_at(Bytes bytes, std::size_t at) {
  const auto low = load<std::uint8_t>(bytes, at);
  if (!low || *low == 0) return std::nullopt;
  if (*low < 0x80) return Entry{at + 1, *low};
  const auto high = load<std::uint8_t>(bytes, at + 1);
  if (!high) return std::nullopt;
  return Entry{at + 2, (*low & 0x7fu) | std::size_t{*high} << 7};
}

bool is_zero(Bytes bytes, std::size_t from, std::size_t to) {
  if (from > to || to > bytes.size()) return false;
  return std::ranges::all_of(bytes.subspan(from, to - from),
                             [](std::byte b) { return b == std::byte{0}; });
}

// How many words from `at` on grow as markers do, the leading zero included.
std::size_t count_markers(Bytes bytes, std::size_t at, std::size_t limit, unsigned word_bytes) {
  std::uint64_t last = 0;
  std::size_t count = 1;
  for (std::size_t next = at + word_bytes; next + word_bytes <= limit; next += word_bytes) {
    const std::uint64_t word = load_word(bytes, next, word_bytes).value_or(0);
    if (word < last || word - last < kMinBlockBytes || word - last > kMaxBlockBytes) break;
    last = word;
    ++count;
  }
  return count;
}

// Between markers and dictionary lies padding; in 6.2 and 6.3 also kallsyms_seqs_of_names, three
// bytes a symbol. [commit 60443c88f3a8, commit 19bd8981dc2e; moved to the end in 6.4]
bool may_precede_tokens(const Markers& markers, std::size_t tokens) {
  if (markers.end() > tokens) return false;
  const std::size_t gap = tokens - markers.end();
  const std::size_t seqs = 3 * kBlock * markers.count;
  return gap < kMaxPadding || (gap + 3 * kBlock >= seqs && gap <= seqs + 2 * kMaxPadding);
}

// Where the entries end if `count` of them from `names` on meet every marker.
std::optional<std::size_t> walk_names(Bytes bytes, std::size_t names, std::size_t count,
                                      const Markers& markers, KallsymsBudget& budget) {
  std::size_t at = names;
  for (std::size_t i = 0; i < count; ++i) {
    if (budget.entries == 0) return std::nullopt;
    --budget.entries;
    if (i % kBlock == 0 && at - names != markers[i / kBlock]) return std::nullopt;
    const auto entry = entry_at(bytes, at);
    if (!entry || entry->next() > markers.at) return std::nullopt;
    at = entry->next();
  }
  return at;
}

std::size_t common_alignment(const KernelImage& image, std::initializer_list<std::size_t> labels) {
  for (const std::size_t alignment : kLabelAlignments) {
    if (std::ranges::all_of(labels, [&](std::size_t label) {
          return image.address_of(label).value % alignment == 0;
        }))
      return alignment;
  }
  return 1;
}

std::optional<KallsymsNames> layout_with_count_at(const KernelImage& image,
                                                  const TokenTable& tokens, const Markers& markers,
                                                  std::size_t count_at, KallsymsBudget& budget) {
  const std::size_t count = load<std::uint32_t>(image.bytes, count_at).value_or(0);
  if (count <= (markers.count - 1) * kBlock || count > markers.count * kBlock) return std::nullopt;
  for (std::size_t names = count_at + 4; names <= count_at + kMaxPadding + 4; names += 4) {
    const auto end = walk_names(image.bytes, names, count, markers, budget);
    if (!end || markers.at - *end >= kMaxPadding || !is_zero(image.bytes, *end, markers.at))
      continue;
    const std::size_t alignment =
        common_alignment(image, {count_at, names, markers.at, tokens.begin, tokens.index});
    return KallsymsNames{count_at, count, names, markers.at, tokens, alignment};
  }
  return std::nullopt;
}

// The last block's length is not known, so the count is looked for in a range: it is the one word
// there that fits the number of markers and has names behind it.
std::optional<KallsymsNames> layout_with_markers(const KernelImage& image, const TokenTable& tokens,
                                                 const Markers& markers, KallsymsBudget& budget) {
  const std::uint64_t last = markers[markers.count - 1];
  if (last >= markers.at) return std::nullopt;
  const std::size_t names_below = markers.at - last;
  const std::size_t reach = std::min(names_below, kMaxBlockBytes + 3 * kMaxPadding);
  std::size_t count_at = names_below - reach;
  count_at += -image.address_of(count_at).value & 3;
  for (; count_at < names_below; count_at += 4) {
    if (auto layout = layout_with_count_at(image, tokens, markers, count_at, budget)) return layout;
  }
  return std::nullopt;
}

// Candidate markers, nearest to the dictionary first.
std::optional<KallsymsNames> search_markers(const KernelImage& image, const TokenTable& tokens,
                                            unsigned word_bytes, KallsymsBudget& budget) {
  const std::size_t low = tokens.begin - std::min(tokens.begin, kMaxReach);
  const std::size_t misaligned = image.address_of(tokens.begin).value % word_bytes;
  if (tokens.begin - low < misaligned) return std::nullopt;
  std::size_t candidates = 0;
  for (std::size_t at = tokens.begin - misaligned; at - low >= word_bytes;) {
    at -= word_bytes;
    if (load_word(image.bytes, at, word_bytes) != 0) continue;
    const std::size_t count = count_markers(image.bytes, at, tokens.begin, word_bytes);
    if (count < kMinMarkers) continue;
    const Markers markers{image.bytes, at, word_bytes, count};
    if (!may_precede_tokens(markers, tokens.begin)) continue;
    if (++candidates > kMaxCandidates) break;
    if (auto layout = layout_with_markers(image, tokens, markers, budget)) return layout;
  }
  return std::nullopt;
}

}  // namespace

std::optional<KallsymsNames> find_kallsyms_names(const KernelImage& image, const TokenTable& tokens,
                                                 KallsymsBudget& budget) {
  for (const unsigned word_bytes : {4u, 8u}) {
    if (auto layout = search_markers(image, tokens, word_bytes, budget)) return layout;
  }
  return std::nullopt;
}

Result<std::vector<Symbol>> decode_kallsyms_names(const KernelImage& image,
                                                  const KallsymsNames& layout) {
  std::vector<Symbol> symbols;
  symbols.reserve(layout.count);
  std::string text;
  std::size_t at = layout.names;
  for (std::size_t i = 0; i < layout.count; ++i) {
    const auto entry = entry_at(image.bytes, at);
    if (!entry || entry->next() > layout.markers)
      return fail(Errc::kBadImage, "kallsyms name cut short", image.address_of(at).value);
    text.clear();
    for (const std::byte token : image.bytes.subspan(entry->body, entry->length)) {
      text += layout.tokens.tokens[std::to_integer<std::size_t>(token)];
      if (text.size() > kMaxNameBytes)
        return fail(Errc::kBadImage, "kallsyms name too long", image.address_of(at).value);
    }
    if (text.empty())
      return fail(Errc::kBadImage, "kallsyms name empty", image.address_of(at).value);
    symbols.push_back({Va{}, text.front(), text.substr(1)});
    at = entry->next();
  }
  return symbols;
}

}  // namespace swat::symbols
