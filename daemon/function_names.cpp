#include "daemon/function_names.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "daemon/call_resolver.hpp"
#include "osmodels/x86/block_exit.hpp"

namespace swat::daemon {
namespace {

constexpr std::size_t kMaxFound = 1 << 14;  // answers remembered; then they are found anew
constexpr std::size_t kMaxNames = 8;        // told of one address
constexpr std::size_t kMaxTargets = 1 << 14;
constexpr std::size_t kMaxSlots = 1 << 14;
constexpr std::uint64_t kPage = 4096;

// `__libc_malloc` says no more than `malloc` does.
void leave_out_aliases(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  const auto is_internal = [](const std::string& name) { return name.starts_with('_'); };
  if (!std::all_of(names.begin(), names.end(), is_internal)) std::erase_if(names, is_internal);
  if (names.size() > kMaxNames) names.resize(kMaxNames);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : "|") + name;
  return text;
}

// push $index; jmp PLT0: where a slot leads before ld.so has bound it.
bool is_lazy_stub(VirtualMemory& memory, Va at) {
  constexpr std::array<std::uint8_t, 4> kEndbr64 = {0xf3, 0x0f, 0x1e, 0xfa};
  constexpr std::byte kPush{0x68};
  std::array<std::byte, 5> code{};
  if (!memory.read(at, code)) return false;
  const bool is_marked = std::memcmp(code.data(), kEndbr64.data(), kEndbr64.size()) == 0;
  return code[is_marked ? 4 : 0] == kPush;
}

// What the slot at `at` imports; empty when there is no slot.
std::string_view name_of_slot(const ProcessView& view, Va at) {
  const LoadedModule* const user = view.module_at(at);
  if (user == nullptr || user->image == nullptr) return {};
  const auto& slots = user->image->slots;
  const auto found = std::lower_bound(
      slots.begin(), slots.end(), at - user->module.base,
      [](const ImageSlot& slot, std::uint64_t offset) { return slot.offset < offset; });
  if (found == slots.end() || user->module.base + found->offset != at) return {};
  return found->name;
}

}  // namespace

// --- An image

ImageFunctions::ImageFunctions(std::shared_ptr<const Image> image, std::string_view module,
                               const CallFilter& wanted)
    : image_(std::move(image)) {
  std::unordered_set<std::uint64_t> with_default;
  for (const ImageExport& e : image_->exports) {
    if (e.is_default) with_default.insert(e.offset);
  }
  for (const ImageExport& e : image_->exports) {
    if (!wanted.wants(module, e.name)) continue;
    if (e.is_ifunc) {
      ifuncs_.push_back(e.name);
    } else if (e.is_default || !with_default.contains(e.offset)) {
      names_[e.offset].push_back(e.name);
    }
  }
  for (const ImageSlot& slot : image_->slots) imports_.insert(slot.name);
  std::vector<std::uint64_t> offsets;
  offsets.reserve(names_.size());
  for (auto& [offset, names] : names_) {
    leave_out_aliases(names);
    offsets.push_back(offset);
  }
  entries_ = std::make_shared<const EntryPoints>(std::move(offsets));
}

const std::vector<std::string>* ImageFunctions::at(std::uint64_t offset) const {
  const auto found = names_.find(offset);
  return found == names_.end() ? nullptr : &found->second;
}

// --- A process

ProcessFunctions::ProcessFunctions(const ProcessView& view, Images images)
    : images_(std::move(images)) {
  list_slots(view);
}

void ProcessFunctions::list_slots(const ProcessView& view) {
  std::unordered_map<std::string_view, std::size_t> holders;
  for (std::size_t i = 0; i < images_.size(); ++i) {
    if (images_[i] == nullptr) continue;
    for (const std::string_view name : images_[i]->ifuncs()) holders.emplace(name, i);
  }
  for (std::size_t i = 0; i < images_.size() && !holders.empty(); ++i) {
    if (images_[i] == nullptr) continue;
    for (const ImageSlot& slot : images_[i]->image().slots) {
      const auto holder = holders.find(slot.name);
      if (holder == holders.end() || unbound_.size() >= kMaxSlots) continue;
      unbound_.push_back({view.modules[i].module.base + slot.offset, i, holder->second, slot.name});
    }
  }
  std::sort(unbound_.begin(), unbound_.end(),
            [](const Slot& a, const Slot& b) { return a.at < b.at; });
}

bool ProcessFunctions::read_slots(const ProcessView& view, VirtualMemory& memory) {
  std::vector<Slot> left;
  for (auto first = unbound_.begin(); first != unbound_.end();) {
    // Those in one page, at the price of one.
    const Va page = first->at.aligned_down(kPage);
    const auto last = std::find_if(first, unbound_.end(),
                                   [&](const Slot& slot) { return slot.at - page >= kPage; });
    const std::size_t word = images_[first->user]->image().word_bytes;
    const auto bytes = read_bytes(memory, first->at, std::prev(last)->at - first->at + word);
    for (auto slot = first; slot != last; ++slot) {
      std::uint64_t target = 0;
      if (bytes) std::memcpy(&target, bytes->data() + (slot->at - first->at), word);
      if (!bytes || !settle(view, memory, *slot, Va{target})) left.push_back(*slot);
    }
    first = last;
  }
  const bool changed = left.size() != unbound_.size();
  unbound_ = std::move(left);
  if (changed) found_.clear();  // an address may have another name as well
  return changed;
}

bool ProcessFunctions::settle(const ProcessView& view, VirtualMemory& memory, const Slot& slot,
                              Va target) {
  const LoadedModule* const where = view.module_at(target);
  if (where == nullptr) return false;
  if (where == &view.modules[slot.user] &&
      (slot.user != slot.holder || is_lazy_stub(memory, target))) {
    return false;
  }
  // What is exported by a name of its own, as the vDSO's functions are, is known anyhow.
  const ImageFunctions* const functions = functions_of(view, where);
  const bool is_export = functions != nullptr && functions->at(target - where->module.base);
  if (!is_export && targets_.size() < kMaxTargets) {
    targets_[target.value].insert(std::string(slot.name));
  }
  return true;
}

const ImageFunctions* ProcessFunctions::functions_of(const ProcessView& view,
                                                     const LoadedModule* module) const {
  if (module == nullptr) return nullptr;
  const auto index = static_cast<std::size_t>(module - view.modules.data());
  return index < images_.size() ? images_[index].get() : nullptr;
}

std::vector<LoggedModule> ProcessFunctions::logged(const ProcessView& view) const {
  std::vector<LoggedModule> modules;
  for (std::size_t i = 0; i < images_.size(); ++i) {
    const os::Module& module = view.modules[i].module;
    LoggedModule logged{module.range, module.base, nullptr, nullptr, true};
    if (images_[i] != nullptr) logged.entries = images_[i]->entries();
    std::vector<std::uint64_t> offsets;
    for (const auto& [target, names] : targets_) {
      if (module.range.contains(Va{target})) offsets.push_back(target - module.base.value);
    }
    if (!offsets.empty()) {
      logged.targets = std::make_shared<const EntryPoints>(std::move(offsets));
    }
    logged.complete = std::none_of(unbound_.begin(), unbound_.end(),
                                   [&](const Slot& slot) { return slot.holder == i; });
    modules.push_back(std::move(logged));
  }
  return modules;
}

std::vector<std::string> ProcessFunctions::names_at(const ProcessView& view, Va at) const {
  if (const auto target = targets_.find(at.value); target != targets_.end()) {
    return {target->second.begin(), target->second.end()};
  }
  const LoadedModule* const holder = view.module_at(at);
  const ImageFunctions* const functions = functions_of(view, holder);
  const auto* names = functions == nullptr ? nullptr : functions->at(at - holder->module.base);
  return names == nullptr ? std::vector<std::string>{} : *names;
}

ProcessFunctions::Found ProcessFunctions::look_up(const ProcessView& view, Va at) const {
  Found found{nullptr, names_at(view, at), at, {}};
  if (found.names.empty()) return found;
  const LoadedModule* const holder = view.module_at(at);
  Function function{joined(found.names), {}};
  if (holder != nullptr) {
    const os::Module& module = holder->module;
    function.module = module.name();
    if (const ImageFunctions* const functions = functions_of(view, holder)) {
      const std::uint64_t size = module.range.end - module.base;
      found.end = module.base + std::min(size, functions->end_of(at - module.base));
    }
  }
  found.function = std::make_shared<const Function>(std::move(function));
  if (found.names.size() == 1) found.names.clear();
  return found;
}

// By the PLT stub that led there; else by what the caller's module imports at all.
ProcessFunctions::FunctionPtr ProcessFunctions::seen_from(const ProcessView& view,
                                                          VirtualMemory& memory, Va at,
                                                          const Found& found, Va from) const {
  const LoadedModule* const caller = view.module_at(from);
  if (at <= from && from < found.end && caller != nullptr && caller->image != nullptr &&
      os::x86::jumps_to(memory, from, at, caller->image->word_bytes * 8)) {
    return nullptr;
  }
  std::vector<std::string> meant;
  const auto slot = slot_of_stub(memory, from);
  const std::string_view name = slot ? name_of_slot(view, *slot) : std::string_view{};
  const ImageFunctions* const imports = functions_of(view, caller);
  for (const std::string& candidate : found.names) {
    if (candidate == name) meant = {candidate};
    if (candidate == name) break;
    if (imports != nullptr && imports->imports(candidate)) meant.push_back(candidate);
  }
  if (meant.empty()) return found.function;
  return std::make_shared<const Function>(Function{joined(meant), found.function->module});
}

ProcessFunctions::FunctionPtr ProcessFunctions::find(const ProcessView& view, VirtualMemory& memory,
                                                     Va at, Va from) {
  auto known = found_.find(at);
  if (known == found_.end()) {
    if (found_.size() >= kMaxFound) found_.clear();
    known = found_.emplace(at, look_up(view, at)).first;
  }
  Found& found = known->second;
  const bool may_loop = at <= from && from < found.end;
  if (from.is_null() || (found.names.empty() && !may_loop)) return found.function;
  if (found.by_origin.size() >= kMaxFound) found.by_origin.clear();
  const auto [meant, is_new] = found.by_origin.try_emplace(from, nullptr);
  if (is_new) meant->second = seen_from(view, memory, at, found, from);
  return meant->second;
}

}  // namespace swat::daemon
