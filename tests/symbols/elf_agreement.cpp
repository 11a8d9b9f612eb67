#include "elf_agreement.hpp"

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <tuple>

#include "symbols/elf_image.hpp"

namespace swat::symbols {
namespace {

// address, name, version, size, ifunc, default
using ExportRow = std::tuple<std::uint64_t, std::string, std::string, std::uint64_t, bool, bool>;
// slot, name, index in DT_JMPREL
using SlotRow = std::tuple<std::uint64_t, std::string, std::optional<std::uint32_t>>;

struct SlotTypes {
  std::uint16_t machine;
  std::uint32_t jump_slot, glob_dat, irelative;
};

constexpr SlotTypes kSlotTypes[] = {{EM_X86_64, 7, 6, 37},
                                    {EM_386, 7, 6, 42},
                                    {EM_ARM, 22, 21, 160},
                                    {EM_AARCH64, 1026, 1025, 1032}};

std::string to_text(const ExportRow& row) {
  std::ostringstream out;
  out << std::hex << std::get<0>(row) << ' ' << std::get<1>(row) << '@' << std::get<2>(row)
      << " size " << std::get<3>(row) << (std::get<4>(row) ? " ifunc" : "")
      << (std::get<5>(row) ? " default" : "");
  return out.str();
}

std::string to_text(const SlotRow& row) {
  std::ostringstream out;
  out << std::hex << std::get<0>(row) << ' ' << std::get<1>(row) << " index "
      << (std::get<2>(row) ? std::to_string(*std::get<2>(row)) : "none");
  return out.str();
}

template <class Row>
std::string difference(std::vector<Row> ours, std::vector<Row> theirs) {
  std::ranges::sort(ours);
  std::ranges::sort(theirs);
  std::vector<Row> only_ours;
  std::vector<Row> only_theirs;
  std::ranges::set_difference(ours, theirs, std::back_inserter(only_ours));
  std::ranges::set_difference(theirs, ours, std::back_inserter(only_theirs));
  std::string text;
  for (const Row& row : only_ours) text += "\n  only we: " + to_text(row);
  for (const Row& row : only_theirs) text += "\n  only readelf: " + to_text(row);
  return text.substr(0, 2000);
}

std::vector<ExportRow> expected_exports(const MappedFile& memory, const ReferenceFile& file) {
  std::vector<ExportRow> rows;
  for (const auto& [index, symbol] : file.symbols) {
    const bool is_typed = symbol.type == "FUNC" || symbol.type == "IFUNC";
    Va address = Va{symbol.value + memory.bias()};
    if (memory.machine() == EM_ARM && is_typed) address.value &= ~std::uint64_t{1};
    const bool is_code = is_typed || (symbol.type == "NOTYPE" && memory.is_code(address));
    const bool is_global =
        symbol.binding == "GLOBAL" || symbol.binding == "WEAK" || symbol.binding == "UNIQUE";
    if (!is_code || !is_global || symbol.section == "UND" || symbol.section == "ABS") continue;
    rows.emplace_back(address.value, symbol.name, symbol.version, symbol.size_bytes,
                      symbol.type == "IFUNC", symbol.is_default);
  }
  return rows;
}

class ExpectedSlots {
 public:
  ExpectedSlots(const MappedFile& memory, const ReferenceFile& file, const SlotTypes& types)
      : memory_(memory), file_(file), types_(types) {
    for (const ReferenceRelocation& relocation : file.relocations) {
      if (relocation.type == types.jump_slot) called_.insert(relocation.symbol);
    }
  }

  [[nodiscard]] std::vector<SlotRow> rows() const {
    std::vector<SlotRow> out;
    for (const ReferenceRelocation& relocation : file_.relocations) {
      const std::optional<std::string> name = name_of(relocation);
      if (!name) continue;
      std::optional<std::uint32_t> index;
      if (relocation.type == types_.jump_slot) index = relocation.index;
      out.emplace_back(relocation.offset + memory_.bias(), *name, index);
    }
    return out;
  }

 private:
  [[nodiscard]] std::optional<std::string> name_of(const ReferenceRelocation& relocation) const {
    if (relocation.type == types_.irelative) return name_irelative(relocation);
    if (relocation.symbol == 0) return {};
    if (relocation.type != types_.jump_slot && relocation.type != types_.glob_dat) return {};
    const ReferenceSymbol& symbol = file_.symbols.at(relocation.symbol);
    if (relocation.type == types_.glob_dat && !is_function(symbol, relocation.symbol)) return {};
    return symbol.name;
  }

  [[nodiscard]] bool is_function(const ReferenceSymbol& symbol, std::uint32_t index) const {
    if (symbol.type == "FUNC" || symbol.type == "IFUNC") return true;
    if (symbol.type != "NOTYPE") return false;
    if (symbol.section != "UND") return memory_.is_code(Va{symbol.value + memory_.bias()});
    return called_.contains(index) || symbol.binding == "WEAK";
  }

  [[nodiscard]] std::string name_irelative(const ReferenceRelocation& relocation) const {
    std::string weak;
    for (const auto& [index, symbol] : file_.symbols) {
      if (symbol.type != "IFUNC" || symbol.section == "UND" || !relocation.addend ||
          symbol.value != *relocation.addend) {
        continue;
      }
      if (symbol.binding != "WEAK") return symbol.name;
      if (weak.empty()) weak = symbol.name;
    }
    return weak;
  }

  const MappedFile& memory_;
  const ReferenceFile& file_;
  const SlotTypes& types_;
  std::set<std::uint32_t> called_;
};

std::string compare_exports(const ElfImage& image, MappedFile& memory,
                            const ReferenceFile& reference, Agreement& out) {
  const auto exports = image.exports(memory);
  if (!exports) return "exports: " + exports.error().what;
  std::vector<ExportRow> rows;
  for (const ElfExport& e : *exports) {
    rows.emplace_back(e.address.value, e.name, e.version, e.size_bytes, e.is_ifunc, e.is_default);
  }
  out.exports = rows.size();
  return difference(rows, expected_exports(memory, reference));
}

std::string compare_slots(const ElfImage& image, MappedFile& memory, const ReferenceFile& reference,
                          Agreement& out) {
  const auto* types = std::ranges::find(kSlotTypes, memory.machine(), &SlotTypes::machine);
  const auto slots = image.import_slots(memory);
  if (types == std::end(kSlotTypes)) {
    return slots || slots.error().code != Errc::kUnsupported ? "slots of an unknown machine" : "";
  }
  if (!slots) return "import slots: " + slots.error().what;
  if (!std::ranges::is_sorted(*slots, {}, &ImportSlot::slot)) return "slots are not sorted";
  std::vector<SlotRow> rows;
  for (const ImportSlot& s : *slots) rows.emplace_back(s.slot.value, s.name, s.index);
  out.slots = rows.size();
  return difference(rows, ExpectedSlots(memory, reference, *types).rows());
}

std::string text_or(const Result<std::string>& text) {
  if (text) return *text;
  return text.error().code == Errc::kNotFound ? "" : "error: " + text.error().what;
}

}  // namespace

Agreement compare_with_readelf(MappedFile& memory, const ReferenceFile& reference) {
  Agreement out;
  const auto image = ElfImage::open(memory, memory.base());
  if (!image) {
    out.difference = "open: " + image.error().what;
    return out;
  }
  const std::uint64_t addresses = memory.is_64_bit() ? ~std::uint64_t{0} : 0xffff'ffff;
  if (image->load_bias() != (memory.bias() & addresses)) out.difference += "load bias\n";
  if (image->extent() != memory.extent()) out.difference += "extent\n";
  if (image->is_64_bit() != memory.is_64_bit()) out.difference += "class\n";
  out.difference += compare_exports(*image, memory, reference, out);
  // readelf finds them by section: without PT_DYNAMIC nothing leads to a static program's.
  if (image->has_dynamic()) out.difference += compare_slots(*image, memory, reference, out);
  if (text_or(image->soname(memory)) != reference.soname) out.difference += "soname\n";
  if (!reference.has_go_notes && text_or(image->build_id(memory)) != reference.build_id) {
    out.difference += "build id\n";
  }
  return out;
}

}  // namespace swat::symbols
