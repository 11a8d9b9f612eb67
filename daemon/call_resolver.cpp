#include "daemon/call_resolver.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace swat::daemon {
namespace {

using Slots = std::vector<std::size_t>;

LoadedModule* module_of_slots(ProcessView& view, Va watch) {
  // module_at() is const for readers; the slot targets are ours to update.
  return const_cast<LoadedModule*>(view.module_at(watch));
}

// [first, last] slots of the run that starts at `watch`.
std::optional<std::pair<std::size_t, std::size_t>> run_at(const LoadedModule& loaded, Va watch) {
  for (const auto& run : loaded.runs()) {
    if (loaded.slot_address(run.first) == watch) return run;
  }
  return {};
}

Slots slots_to(const LoadedModule& loaded, std::pair<std::size_t, std::size_t> run, Va target) {
  Slots slots;
  const auto [begin, end] = loaded.slots_by_target.equal_range(target.value);
  for (auto it = begin; it != end; ++it) {
    if (run.first <= it->second && it->second <= run.second) slots.push_back(it->second);
  }
  return slots;
}

void reread(LoadedModule& loaded, std::pair<std::size_t, std::size_t> run, VirtualMemory& memory) {
  const unsigned word = loaded.image->word_bytes;
  const std::size_t count = run.second - run.first + 1;
  const auto bytes = read_bytes(memory, loaded.slot_address(run.first), count * word);
  if (!bytes) return;
  // A guest that keeps rewriting its slots does not grow us.
  const std::size_t most = 4 * loaded.image->slots.size() + 64;
  if (loaded.slots_by_target.size() > most) loaded.slots_by_target.clear();
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t target = 0;
    std::memcpy(&target, bytes->data() + i * word, word);
    const Slots known = slots_to(loaded, run, Va{target});
    if (std::find(known.begin(), known.end(), run.first + i) != known.end()) continue;
    loaded.slots_by_target.emplace(target, run.first + i);
  }
}

// Those that lead to `target` right now: an address may hold another function than it once did.
Slots leading_now(const LoadedModule& loaded, const Slots& slots, Va target,
                  VirtualMemory& memory) {
  Slots now;
  for (const std::size_t slot : slots) {
    std::uint64_t word = 0;
    const auto raw = std::as_writable_bytes(std::span(&word, 1)).first(loaded.image->word_bytes);
    if (memory.read(loaded.slot_address(slot), raw) && word == target.value) now.push_back(slot);
  }
  return now;
}

std::set<std::string> names_of(const LoadedModule& loaded, const Slots& slots) {
  std::set<std::string> names;
  for (const std::size_t slot : slots) names.insert(loaded.image->slots[slot].name);
  return names;
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : "|") + name;
  return text;
}

// Several imports that lead to one address (memcpy and memmove, say): the caller's code tells.
std::string name_of(const LoadedModule& loaded, const Slots& slots, VirtualMemory& memory,
                    const CallSite& site) {
  const std::set<std::string> names = names_of(loaded, slots);
  if (names.size() == 1 || !site.return_address) return joined(names);
  const auto slot_va = slot_of_call(memory, *site.return_address);
  if (!slot_va) return joined(names);
  for (const std::size_t slot : slots) {
    if (loaded.slot_address(slot) == *slot_va) return loaded.image->slots[slot].name;
  }
  return joined(names);
}

// A lazy slot leads to its PLT stub first, and ld.so goes on to the function: the only export of
// that name, when there is one only; else which module it will be is not known.
void follow_lazy_stub(const ProcessView& view, const LoadedModule& caller, Call& call) {
  const std::uint64_t offset = call.address - caller.module.base;
  const auto& own = caller.image->exports;
  if (std::ranges::find(own, offset, &ImageExport::offset) != own.end()) return;
  call.module.clear();
  const LoadedModule* holder = nullptr;
  const ImageExport* found = nullptr;
  for (const LoadedModule& loaded : view.modules) {
    if (loaded.image == nullptr) continue;
    for (const ImageExport& e : loaded.image->exports) {
      if (e.name != call.function) continue;
      if (holder != nullptr && holder != &loaded) return;
      holder = &loaded;
      found = &e;
    }
  }
  if (holder == nullptr) return;
  call.module = holder->module.name();
  if (!found->is_ifunc) call.address = holder->module.base + found->offset;
}

// What the callee's module exports at that address, unless the import's name is among it.
void take_export_name(const ProcessView& view, const LoadedModule& caller, Call& call) {
  const LoadedModule* const holder = view.module_at(call.address);
  if (!caller.image->imports_by_other_names || holder == nullptr || holder->image == nullptr)
    return;
  const std::uint64_t offset = call.address - holder->module.base;
  std::set<std::string> names;
  for (auto e = std::ranges::lower_bound(holder->image->exports, offset, {}, &ImageExport::offset);
       e != holder->image->exports.end() && e->offset == offset; ++e) {
    names.insert(e->name);
  }
  if (!names.empty() && !names.contains(call.function)) call.function = joined(names);
}

std::string module_name(const ProcessView& view, Va at) {
  const LoadedModule* loaded = view.module_at(at);
  return loaded == nullptr ? std::string{} : std::string(loaded->module.name());
}

std::int32_t displacement(std::span<const std::byte> code) {
  std::int32_t value = 0;
  std::memcpy(&value, code.data(), sizeof(value));
  return value;
}

}  // namespace

Result<Va> slot_of_stub(VirtualMemory& memory, Va stub) {
  constexpr std::array<std::uint8_t, 4> kEndbr64 = {0xf3, 0x0f, 0x1e, 0xfa};
  std::array<std::byte, 11> code{};
  // The short stub may be the last of its page.
  if (!memory.read(stub, code)) SWAT_CHECK(memory.read(stub, std::span(code).first(6)));
  std::size_t i = std::memcmp(code.data(), kEndbr64.data(), kEndbr64.size()) == 0 ? 4 : 0;
  if (code[i] == std::byte{0xf2}) ++i;
  if (code[i] != std::byte{0xff} || code[i + 1] != std::byte{0x25}) {
    return fail(Errc::kNotFound, "no PLT stub", stub.value);
  }
  const auto next = stub + i + 6;
  return next + static_cast<std::uint64_t>(displacement(std::span(code).subspan(i + 2)));
}

Result<Va> slot_of_call(VirtualMemory& memory, Va return_address) {
  std::array<std::byte, 6> code{};
  // The shorter call may be the first of its page.
  if (!memory.read(return_address - 6, code)) {
    SWAT_CHECK(memory.read(return_address - 5, std::span(code).last(5)));
  }
  const auto offset = static_cast<std::uint64_t>(displacement(std::span(code).subspan(2)));
  if (code[0] == std::byte{0xff} && code[1] == std::byte{0x15}) return return_address + offset;
  if (code[1] == std::byte{0xe8}) return slot_of_stub(memory, return_address + offset);
  return fail(Errc::kNotFound, "no call before the return address", return_address.value);
}

Result<Va> address_of_load(VirtualMemory& memory, Va next) {
  std::array<std::byte, 4> code{};
  SWAT_CHECK(memory.read(next - code.size(), code));
  return next + static_cast<std::uint64_t>(displacement(code));
}

Result<bool> is_called_from(VirtualMemory& memory, Va return_address, Va entry) {
  std::array<std::byte, 5> code{};
  SWAT_CHECK(memory.read(return_address - code.size(), code));
  const Va direct =
      return_address + static_cast<std::uint64_t>(displacement(std::span(code).subspan(1)));
  if (code[0] == std::byte{0xe8} && direct == entry) return true;
  const auto slot = slot_of_call(memory, return_address);
  if (slot) return SWAT_TRY(read_as<std::uint64_t>(memory, *slot)) == entry.value;
  if (code[0] == std::byte{0xe8}) return false;
  return tl::unexpected(slot.error());
}

bool is_import_target(ProcessView& view, VirtualMemory& memory, Va target) {
  if (view.module_at(target) == nullptr) return false;
  const auto leads_there = [&](const LoadedModule& loaded) {
    return loaded.image != nullptr && loaded.slots_by_target.contains(target.value);
  };
  if (std::ranges::any_of(view.modules, leads_there)) return true;
  for (LoadedModule& loaded : view.modules) {
    if (loaded.image == nullptr) continue;
    for (const auto& run : loaded.image->slot_runs) reread(loaded, run, memory);
  }
  return std::ranges::any_of(view.modules, leads_there);
}

std::optional<Call> resolve_call(ProcessView& view, VirtualMemory& memory, const CallSite& site) {
  LoadedModule* loaded = module_of_slots(view, site.watch);
  if (loaded == nullptr || loaded->image == nullptr) return {};
  const auto run = run_at(*loaded, site.watch);
  if (!run) return {};
  const Va target = site.in_kernel ? site.fault_address : site.pc;
  Slots slots = leading_now(*loaded, slots_to(*loaded, *run, target), target, memory);
  if (slots.empty()) {
    reread(*loaded, *run, memory);
    slots = slots_to(*loaded, *run, target);
    // None: another vCPU has bound the slot since this one went through it.
    const Slots now = leading_now(*loaded, slots, target, memory);
    if (!now.empty()) slots = now;
  }
  if (slots.empty()) return {};
  Call call{target,
            name_of(*loaded, slots, memory, site),
            module_name(view, target),
            {},
            site.return_address,
            {}};
  take_export_name(view, *loaded, call);
  if (site.return_address && !site.sp.is_null()) {
    call.frame = CallFrame{target, site.sp, *site.return_address, loaded->image->word_bytes};
  }
  if (call.module == loaded->module.name()) follow_lazy_stub(view, *loaded, call);
  if (site.return_address) call.caller_module = module_name(view, *site.return_address);
  return call;
}

std::optional<Call> resolve_slot(const ProcessView& view, Va slot, Va callee,
                                 std::optional<Va> return_address) {
  const LoadedModule* loaded = view.module_at(slot);
  if (loaded == nullptr || loaded->image == nullptr) return {};
  const auto& slots = loaded->image->slots;
  const auto known =
      std::ranges::lower_bound(slots, slot - loaded->module.base, {}, &ImageSlot::offset);
  if (known == slots.end() || loaded->module.base + known->offset != slot) return {};
  Call call;
  call.address = callee;
  call.function = known->name;
  call.module = module_name(view, callee);
  call.return_address = return_address;
  take_export_name(view, *loaded, call);
  if (call.module == loaded->module.name()) follow_lazy_stub(view, *loaded, call);
  if (return_address) call.caller_module = module_name(view, *return_address);
  return call;
}

}  // namespace swat::daemon
