#include <elf.h>

#include <algorithm>
#include <map>

#include "symbols/elf_dynamic.hpp"
#include "symbols/elf_image.hpp"
#include "symbols/elf_machine.hpp"

namespace swat::symbols {
namespace {

// A relocation that may be an import, before names are known.
struct Candidate {
  ElfRelocation relocation;
  std::optional<std::uint32_t> index;  // of a JUMP_SLOT, in DT_JMPREL
};

Result<std::vector<Candidate>> read_candidates(VirtualMemory& memory, const ElfDynamic& dynamic,
                                               const ElfMachine& machine) {
  std::vector<Candidate> out;
  for (const std::int64_t tag : {DT_JMPREL, DT_RELA, DT_REL}) {
    const auto relocations = SWAT_TRY(dynamic.relocations(memory, tag));
    for (std::size_t i = 0; i < relocations.size(); ++i) {
      const ElfRelocation& relocation = relocations[i];
      const bool is_jump_slot = relocation.type == machine.jump_slot;
      const bool names_symbol = is_jump_slot || relocation.type == machine.glob_dat;
      if (!names_symbol && relocation.type != machine.irelative) continue;
      if (names_symbol && relocation.symbol == STN_UNDEF) continue;
      Candidate candidate{relocation, {}};
      if (is_jump_slot && tag == DT_JMPREL) candidate.index = static_cast<std::uint32_t>(i);
      out.push_back(candidate);
    }
  }
  return out;
}

// All that relocations name, and all that is defined when IRELATIVE slots want names.
Result<std::vector<ElfSymbol>> read_symbols(VirtualMemory& memory, const ElfDynamic& dynamic,
                                            const ElfMachine& machine,
                                            const std::vector<Candidate>& candidates) {
  std::size_t count = 0;
  bool has_irelative = false;
  for (const Candidate& candidate : candidates) {
    count = std::max(count, std::size_t{candidate.relocation.symbol} + 1);
    has_irelative = has_irelative || candidate.relocation.type == machine.irelative;
  }
  if (has_irelative) count = std::max(count, SWAT_TRY(dynamic.symbol_count(memory)));
  return dynamic.symbols(memory, count);
}

// Link-time address of a resolver to the dynamic symbol of its IFUNC. Of aliases (strchr, index)
// the one that is not weak, else the first. Not hashed: the image chooses the keys.
std::map<std::uint64_t, const ElfSymbol*> index_ifuncs(const std::vector<ElfSymbol>& symbols) {
  std::map<std::uint64_t, const ElfSymbol*> out;
  for (const ElfSymbol& symbol : symbols) {
    if (symbol.type != STT_GNU_IFUNC || symbol.section == SHN_UNDEF) continue;
    const ElfSymbol*& best = out.try_emplace(symbol.value, &symbol).first->second;
    if (best->binding == STB_WEAK && symbol.binding != STB_WEAK) best = &symbol;
  }
  return out;
}

// Whether a GLOB_DAT slot of this symbol holds a function's address. Linkers copy the type from the
// library they link against. Untyped are what was defined nowhere at link time:
//  - weak: hooks that are tested before they are called (__gmon_start__, _ITM_*): functions, as
//    nobody has such objects;
//  - strong: anything that a plug-in takes from its host. A function if something calls it through
//    the PLT; else unknown (_Py_NoneStruct is an object), and left out;
//  - defined in this image: a function if code lies there.
bool is_function(const ElfSymbol& symbol, bool has_jump_slot, const ElfLayout& layout) {
  if (symbol.type == STT_FUNC || symbol.type == STT_GNU_IFUNC) return true;
  if (symbol.type != STT_NOTYPE) return false;
  if (symbol.section != SHN_UNDEF) return layout.is_code(layout.at(symbol.value));
  return has_jump_slot || symbol.binding == STB_WEAK;
}

// Lives within one call; `machine` and `layout` outlive it.
class SlotNamer {
 public:
  SlotNamer(const SlotNamer&) = delete;
  SlotNamer& operator=(const SlotNamer&) = delete;
  SlotNamer(const ElfMachine& machine, const ElfLayout& layout, std::vector<ElfSymbol> symbols,
            ElfStrings strings, const std::vector<Candidate>& candidates)
      : machine_(machine),
        layout_(layout),
        symbols_(std::move(symbols)),
        strings_(std::move(strings)),
        ifuncs_(index_ifuncs(symbols_)),
        called_(symbols_.size()) {
    for (const Candidate& c : candidates) {
      if (c.relocation.type == machine.jump_slot) called_[c.relocation.symbol] = true;
    }
  }

  // Nothing: the slot is not a function's.
  [[nodiscard]] Result<std::optional<std::string>> name(const ElfRelocation& relocation) {
    if (relocation.type == machine_.irelative) return name_irelative(relocation);
    const ElfSymbol& symbol = symbols_[relocation.symbol];
    if (relocation.type == machine_.glob_dat &&
        !is_function(symbol, called_[relocation.symbol], layout_)) {
      return std::nullopt;
    }
    return std::string(SWAT_TRY(strings_.at(symbol.name)));
  }

 private:
  // A REL entry had its resolver's address in the slot, where the function's is by now.
  [[nodiscard]] Result<std::optional<std::string>> name_irelative(const ElfRelocation& relocation) {
    if (!relocation.addend) return std::string();
    const auto found = ifuncs_.find(*relocation.addend);
    if (found == ifuncs_.end()) return std::string();
    return std::string(SWAT_TRY(strings_.at(found->second->name)));
  }

  const ElfMachine& machine_;
  const ElfLayout& layout_;
  std::vector<ElfSymbol> symbols_;
  ElfStrings strings_;
  std::map<std::uint64_t, const ElfSymbol*> ifuncs_;  // into symbols_
  std::vector<bool> called_;                          // by symbol: has a JUMP_SLOT
};

// Some linkers let DT_RELA(SZ) include DT_JMPREL: one slot, listed twice. The first is DT_JMPREL's.
void sort_by_slot(std::vector<ImportSlot>& slots) {
  std::ranges::stable_sort(slots, {}, &ImportSlot::slot);
  const auto twice = std::ranges::unique(slots, {}, &ImportSlot::slot);
  slots.erase(twice.begin(), twice.end());
}

}  // namespace

Result<std::vector<ImportSlot>> ElfImage::import_slots(VirtualMemory& memory) const {
  std::vector<ImportSlot> out;
  if (!has_dynamic()) return out;
  const ElfMachine* machine = find_elf_machine(layout_.machine);
  if (machine == nullptr) {
    return fail(Errc::kUnsupported, "imports of an ELF image of this machine");
  }
  const ElfDynamic dynamic = SWAT_TRY(ElfDynamic::read(memory, layout_));
  const auto candidates = SWAT_TRY(read_candidates(memory, dynamic, *machine));
  if (candidates.empty()) return out;

  auto symbols = SWAT_TRY(read_symbols(memory, dynamic, *machine, candidates));
  SlotNamer namer(*machine, layout_, std::move(symbols), SWAT_TRY(dynamic.strings(memory)),
                  candidates);
  const std::uint64_t word = layout_.is_64_bit ? 8 : 4;
  for (const Candidate& candidate : candidates) {
    const Va slot = layout_.at(candidate.relocation.offset);
    std::optional<std::string> name = SWAT_TRY(namer.name(candidate.relocation));
    if (!name) continue;
    if (!layout_.contains(slot, word)) {
      return fail(Errc::kBadImage, "import slot outside its image", slot.value);
    }
    out.push_back({slot, *std::move(name), candidate.index});
  }
  sort_by_slot(out);
  return out;
}

}  // namespace swat::symbols
