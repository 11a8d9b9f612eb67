#include "daemon/slot_selection.hpp"

#include <algorithm>
#include <cstring>

namespace swat::daemon {
namespace {

bool exports(const LoadedModule& loaded, std::string_view name) {
  return loaded.image != nullptr &&
         std::ranges::find(loaded.image->exports, name, &ImageExport::name) !=
             loaded.image->exports.end();
}

bool is_wanted_by_name(const ProcessView& view, std::string_view name, const CallFilter& wanted) {
  bool is_exported = false;
  for (const LoadedModule& provider : view.modules) {
    if (!exports(provider, name)) continue;
    is_exported = true;
    if (wanted.wants(provider.module.name(), name)) return true;
  }
  return !is_exported;
}

bool is_wanted(const ProcessView& view, const LoadedModule& loaded, std::size_t slot, Va target,
               const CallFilter& wanted) {
  const std::string& name = loaded.image->slots[slot].name;
  if (!wanted.wants({}, name)) return false;
  const LoadedModule* provider = view.module_at(target);
  const bool is_bound = provider != nullptr && provider != &loaded;
  return is_bound ? wanted.wants(provider->module.name(), name)
                  : is_wanted_by_name(view, name, wanted);
}

// What the slots [first, last] hold; zeros when they cannot be read.
std::vector<Va> targets(const ProcessView& view, const LoadedModule& loaded, std::size_t first,
                        std::size_t last) {
  std::vector<Va> found(last - first + 1);
  const unsigned word = loaded.image->word_bytes;
  const auto bytes = read_bytes(*view.memory, loaded.slot_address(first), found.size() * word);
  if (!bytes) return found;
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::memcpy(&found[i].value, bytes->data() + i * word, word);
  }
  return found;
}

}  // namespace

std::vector<LoadedModule::Run> wanted_runs(const ProcessView& view, const LoadedModule& loaded,
                                           const CallFilter& wanted) {
  std::vector<LoadedModule::Run> runs;
  for (const auto& [first, last] : loaded.image->slot_runs) {
    const std::vector<Va> leads_to = targets(view, loaded, first, last);
    bool continues = false;
    for (std::size_t i = first; i <= last; ++i) {
      const bool take = is_wanted(view, loaded, i, leads_to[i - first], wanted);
      if (take && continues) runs.back().second = i;
      if (take && !continues) runs.emplace_back(i, i);
      continues = take;
    }
  }
  return runs;
}

}  // namespace swat::daemon
