#include "kallsyms_builder.hpp"

#include <algorithm>
#include <array>
#include <random>

namespace swat::symbols::test {
namespace {

constexpr std::string_view kBanner = "Linux version 6.6.6-test (a@b) (gcc) #1 SMP\n";

class Assembler {
 public:
  explicit Assembler(Va base) : base_(base) {}

  [[nodiscard]] Va here() const { return base_ + bytes_.size(); }
  [[nodiscard]] std::size_t offset() const { return bytes_.size(); }
  void align(std::size_t alignment) {
    while (here().value % alignment != 0) word(0, 1);
  }
  void word(std::uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) bytes_.push_back(static_cast<std::byte>(value >> (8 * i)));
  }
  void text(std::string_view text) {
    for (const char c : text) word(static_cast<unsigned char>(c), 1);
  }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  Va base_;
  std::vector<std::byte> bytes_;
};

// Names with what real ones have: common stems, digits, every kind of character.
std::string make_name(std::mt19937& random, std::size_t serial) {
  static constexpr std::array<std::string_view, 8> kStems = {
      "sys_", "do_", "__x64_sys_", "init_", "vfs_read", "ext4_", "__se_compat_", "tcp_v4_"};
  std::string name(kStems[random() % kStems.size()]);
  const std::size_t letters = 2 + random() % 12;
  for (std::size_t i = 0; i < letters; ++i) name += static_cast<char>('a' + random() % 26);
  return name + "." + std::to_string(serial);
}

std::vector<Symbol> make_symbols(const Era& era, const BuildOptions& options, Va base, Va banner) {
  std::mt19937 random(20231);
  std::vector<Symbol> symbols;
  const bool percpu = era.addresses == Addresses::kRelativePercpu;
  for (std::size_t i = 0; i < options.symbols; ++i) {
    const bool absolute = percpu && i < 40;
    const Va at = absolute ? Va{i / 2 * 0x40} : base + i / 2 * 2 * options.symbol_spacing;
    std::string name = make_name(random, i);
    // A name that no token shortens, as Rust has them, takes a length of two bytes.
    if (era.long_names && i % 211 == 100)
      for (int k = 0; k < 180; ++k) name += static_cast<char>('A' + random() % 26);
    symbols.push_back({at, absolute ? 'A' : 'T', name});
  }
  if (options.with_data_symbols)
    symbols.back() = {banner + options.banner_error, 'R', "linux_banner"};
  return symbols;
}

// Characters in use stand for themselves, the other codes for common strings, some for none.
std::array<std::string, 256> make_tokens(const std::vector<Symbol>& symbols) {
  static constexpr std::array<std::string_view, 12> kCommon = {
      "Tsys_",   "__x64_sys_", "Tdo_", "init_", "vfs_read", "ext4_",
      "compat_", "__se_",      "tcp",  "_v4_",  "in",       "er"};
  std::array<std::string, 256> tokens;
  const auto use = [&](char c) { tokens[static_cast<unsigned char>(c)] = std::string(1, c); };
  for (const Symbol& symbol : symbols) {
    use(symbol.type);
    std::ranges::for_each(symbol.name, use);
  }
  std::size_t next = 0;
  for (std::string& token : tokens)
    if (token.empty() && next < kCommon.size()) token = kCommon[next++];
  return tokens;
}

std::string compress(std::string_view text, const std::array<std::string, 256>& tokens) {
  std::string out;
  while (!text.empty()) {
    std::size_t best = static_cast<unsigned char>(text[0]);
    for (std::size_t i = 0; i < tokens.size(); ++i)
      if (tokens[i].size() > tokens[best].size() && text.starts_with(tokens[i])) best = i;
    out += static_cast<char>(best);
    text.remove_prefix(tokens[best].size());
  }
  return out;
}

class Layout {
 public:
  Layout(const Era& era, Assembler& out, const std::vector<Symbol>& symbols, Va text)
      : era_(era), out_(out), symbols_(symbols), text_(text), tokens_(make_tokens(symbols)) {}

  void write() {
    if (!era_.addresses_last) addresses();
    names();
    if (era_.seqs == Seqs::kBehindMarkers) seqs();
    dictionary();
    if (era_.addresses_last) addresses();
    if (era_.seqs == Seqs::kLast) seqs();
    out_.align(era_.alignment);
  }

 private:
  void label() { out_.align(era_.alignment); }

  void addresses() {
    label();
    for (const Symbol& symbol : symbols_) {
      const std::uint64_t at = symbol.address.value;
      switch (era_.addresses) {
        case Addresses::kAbsolute:
          out_.word(at, era_.pointer_bytes);
          break;
        case Addresses::kRelative:
          out_.word(at - text_.value, 4);
          break;
        case Addresses::kRelativePercpu:
          out_.word(symbol.type == 'A' ? at : text_.value - 1 - at, 4);
          break;
        case Addresses::kPlaceRelative:
          out_.word(at - out_.here().value, 4);
          break;
      }
    }
    if (era_.addresses != Addresses::kRelative && era_.addresses != Addresses::kRelativePercpu)
      return;
    label();
    out_.word(text_.value, era_.pointer_bytes);
  }

  void names() {
    label();
    out_.word(symbols_.size(), era_.long_bytes);
    label();
    std::vector<std::size_t> markers;
    const std::size_t begin = out_.offset();
    for (std::size_t i = 0; i < symbols_.size(); ++i) {
      if (i % 256 == 0) markers.push_back(out_.offset() - begin);
      const std::string packed = compress(symbols_[i].type + symbols_[i].name, tokens_);
      if (packed.size() < 128) {
        out_.word(packed.size(), 1);
      } else {
        out_.word((packed.size() & 0x7f) | 0x80, 1);
        out_.word(packed.size() >> 7, 1);
      }
      out_.text(packed);
    }
    label();
    for (const std::size_t marker : markers) out_.word(marker, era_.long_bytes);
  }

  void dictionary() {
    label();
    const std::size_t begin = out_.offset();
    std::vector<std::size_t> index;
    for (const std::string& token : tokens_) {
      index.push_back(out_.offset() - begin);
      out_.text(token);
      out_.word(0, 1);
    }
    label();
    for (const std::size_t at : index) out_.word(at, 2);
  }

  // The permutation that sorts by name; three bytes each, big-endian.
  void seqs() {
    label();
    std::vector<std::size_t> order(symbols_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order, {}, [&](std::size_t i) { return symbols_[i].name; });
    for (const std::size_t i : order)
      for (const unsigned shift : {16u, 8u, 0u}) out_.word(i >> shift & 0xff, 1);
  }

  const Era& era_;
  Assembler& out_;
  const std::vector<Symbol>& symbols_;
  Va text_;
  std::array<std::string, 256> tokens_;
};

void write_stems(const Era& era, Assembler& out, const std::vector<Symbol>& symbols) {
  out.align(era.alignment);
  for (const Symbol& symbol : symbols) out.word(symbol.address.value, era.pointer_bytes);
  out.align(era.alignment);
  out.word(symbols.size(), era.pointer_bytes);
  out.align(era.alignment);
  std::string_view last;
  for (const Symbol& symbol : symbols) {
    const auto [end, unused] = std::ranges::mismatch(symbol.name, last);
    const auto stem = static_cast<std::size_t>(end - symbol.name.begin());
    out.word(stem, 1);
    out.text(symbol.name.substr(stem));
    out.word(0, 1);
    last = symbol.name;
  }
  out.align(era.alignment);
}

// Code that looks like code, then strings, then what `write` adds, then data.
template <class Write>
BuiltKernel build(const Era& era, const BuildOptions& options, const Write& write) {
  const Va base{era.pointer_bytes == 8 ? 0xffffffff81000000 : 0xc1000000};
  Assembler out(base);
  std::mt19937 random(4711);
  for (std::size_t i = 0; i < options.symbols * options.symbol_spacing / 4; ++i)
    out.word(random(), 4);
  const Va banner = out.here();
  out.text(kBanner);
  out.word(0, 5);
  BuiltKernel kernel{era, base, {}, make_symbols(era, options, base, banner), 0};
  kernel.table_begin = out.offset();
  write(out, kernel.symbols);
  for (int i = 0; i < 64; ++i) out.word(random(), 4);
  kernel.bytes = out.take();
  return kernel;
}

}  // namespace

BuiltKernel build_kernel(const Era& era, const BuildOptions& options) {
  return build(era, options, [&](Assembler& out, std::vector<Symbol>& symbols) {
    Layout(era, out, symbols, out.here().aligned_down(1u << 24)).write();
  });
}

BuiltKernel build_stem_kernel(const Era& era, const BuildOptions& options) {
  return build(era, options, [&](Assembler& out, std::vector<Symbol>& symbols) {
    for (Symbol& symbol : symbols) symbol.type = 0;  // this era does not store it
    write_stems(era, out, symbols);
  });
}

// [scripts/kallsyms.c and kernel/kallsyms.c at each version]
const std::vector<Era>& all_eras() {
  using enum Addresses;
  static const std::vector<Era> eras = {
      {"x86_64_2_6_10", 8, kAbsolute, false, 8, 8, Seqs::kNone, false},
      {"i386_2_6_20", 4, kAbsolute, false, 4, 4, Seqs::kNone, false},
      {"arm_3_10", 4, kAbsolute, false, 16, 4, Seqs::kNone, false},
      {"arm64_4_4", 8, kAbsolute, false, 256, 8, Seqs::kNone, false},
      {"i386_4_8", 4, kRelative, false, 4, 4, Seqs::kNone, false},
      {"x86_64_4_8", 8, kRelativePercpu, false, 8, 8, Seqs::kNone, false},
      {"arm_4_14", 4, kRelative, false, 16, 4, Seqs::kNone, false},
      {"arm64_4_19", 8, kRelative, false, 256, 8, Seqs::kNone, false},
      {"x86_64_5_10", 8, kRelativePercpu, false, 8, 4, Seqs::kNone, false},
      {"arm64_6_1", 8, kRelative, false, 8, 4, Seqs::kNone, true},
      {"x86_64_6_2", 8, kRelativePercpu, false, 8, 4, Seqs::kBehindMarkers, true},
      {"arm_6_3", 4, kRelative, false, 4, 4, Seqs::kBehindMarkers, true},
      {"x86_64_6_4", 8, kRelativePercpu, true, 8, 4, Seqs::kLast, true},
      {"absolute_6_4", 8, kAbsolute, true, 8, 4, Seqs::kLast, true},
      {"arm_6_6", 4, kRelative, true, 4, 4, Seqs::kLast, true},
      {"x86_64_6_15", 8, kRelative, true, 8, 4, Seqs::kLast, true},
      {"x86_64_7_0", 8, kPlaceRelative, true, 4, 4, Seqs::kLast, true},
      {"i386_7_0", 4, kPlaceRelative, true, 4, 4, Seqs::kLast, true},
      {"arm_7_0", 4, kAbsolute, true, 4, 4, Seqs::kLast, true},
  };
  return eras;
}

}  // namespace swat::symbols::test
