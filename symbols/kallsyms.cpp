#include "symbols/kallsyms.hpp"

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "symbols/kallsyms_addresses.hpp"
#include "symbols/kallsyms_names.hpp"
#include "symbols/kallsyms_stems.hpp"
#include "symbols/kallsyms_tokens.hpp"
#include "symbols/ksymtab.hpp"
#include "symbols/span_load.hpp"
#include "symbols/vmcoreinfo.hpp"

namespace swat::symbols {
namespace {

constexpr int kMaxDigitRuns = 4096;  // places that look like a dictionary at first sight
constexpr int kMaxDictionaries = 16;

// What else in the image says of a table. Without it a table shifted by a few entries passes.
enum class Verdict { kAgrees, kContradicts, kUnknown };

// linux_banner names the address of a string that can only be itself, in the same .rodata as the
// table. It is data, hence listed only by kernels with KALLSYMS_ALL.
Verdict check_banner(const KernelImage& image, const SymbolTable& table) {
  const auto banner = table.find("linux_banner");
  if (!banner) return Verdict::kUnknown;
  if (!image.range().contains(*banner)) return Verdict::kContradicts;
  const std::string_view text = as_text(image.bytes).substr(*banner - image.base);
  return text.starts_with("Linux version ") ? Verdict::kAgrees : Verdict::kContradicts;
}

// Exported functions have the same address in both. A static function may share an exported one's
// name, so a few may differ.
Verdict check_exports(const SymbolTable& exports, const SymbolTable& table) {
  constexpr std::size_t kFewest = 5;
  std::size_t compared = 0;
  std::size_t same = 0;
  for (const Symbol& exported : exports.all()) {
    const auto address = table.find(exported.name);
    if (!address) continue;
    ++compared;
    if (*address == exported.address) ++same;
  }
  if (compared < kFewest) return Verdict::kUnknown;
  return same >= compared - compared / 10 ? Verdict::kAgrees : Verdict::kContradicts;
}

Verdict check_stext(const Vmcoreinfo& info, const SymbolTable& table) {
  const auto expected = info.symbol("_stext");
  const auto address = table.find("_stext");
  if (!expected || !address) return Verdict::kUnknown;
  return *expected == *address ? Verdict::kAgrees : Verdict::kContradicts;
}

// Witnesses in the order of their cost; each is looked for only when those before know nothing.
class Judge {
 public:
  explicit Judge(const KernelImage& image) : image_(image) {}

  [[nodiscard]] Verdict judge(const SymbolTable& table) {
    const Verdict by_banner = check_banner(image_, table);
    if (by_banner != Verdict::kUnknown) return by_banner;
    if (!exports_) exports_ = find_ksymtab(image_).value_or(SymbolTable{});
    const Verdict by_exports = check_exports(*exports_, table);
    if (by_exports != Verdict::kUnknown) return by_exports;
    if (!vmcoreinfo_) vmcoreinfo_ = Vmcoreinfo::find(image_);
    return *vmcoreinfo_ ? check_stext(**vmcoreinfo_, table) : Verdict::kUnknown;
  }

 private:
  const KernelImage& image_;
  std::optional<SymbolTable> exports_;
  std::optional<Result<Vmcoreinfo>> vmcoreinfo_;
};

// The first reading that a witness confirms, else the first that none contradicts.
std::optional<SymbolTable> choose(Judge& judge, std::vector<Symbol> symbols,
                                  const std::vector<std::vector<Va>>& readings) {
  std::optional<SymbolTable> unjudged;
  for (const std::vector<Va>& addresses : readings) {
    for (std::size_t i = 0; i < symbols.size(); ++i) symbols[i].address = addresses[i];
    SymbolTable table(symbols);
    const Verdict verdict = judge.judge(table);
    if (verdict == Verdict::kAgrees) return table;
    if (verdict == Verdict::kUnknown && !unjudged) unjudged = std::move(table);
  }
  return unjudged;
}

}  // namespace

Result<SymbolTable> find_kallsyms(const KernelImage& image) {
  std::size_t from = 0;
  int digit_runs = kMaxDigitRuns;
  KallsymsBudget budget;
  Judge judge(image);
  std::optional<Error> broken;
  for (int i = 0; i < kMaxDictionaries; ++i) {
    const auto tokens = find_token_table(image, from, digit_runs);
    if (!tokens) break;
    const auto layout = find_kallsyms_names(image, *tokens, budget);
    if (!layout) continue;
    auto symbols = decode_kallsyms_names(image, *layout);
    if (symbols) {
      if (auto table = choose(judge, std::move(*symbols), kallsyms_addresses(image, *layout)))
        return std::move(*table);
    }
    broken = symbols ? Error{Errc::kBadImage, "kallsyms names without addresses that fit them",
                             image.address_of(layout->names).value}
                     : std::move(symbols).error();
  }
  if (broken) return tl::unexpected<Error>(std::move(*broken));
  return find_stem_kallsyms(image);
}

}  // namespace swat::symbols
