#include "osmodels/linux/space_lives.hpp"

#include <algorithm>

#include "osmodels/linux/syscalls.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kCloneVm = 0x100;  // CLONE_VM: the child runs in the same space

// clone3 has its flags in memory. The C libraries make threads with it, and children that call
// execve at once; a fork is a clone.
bool stays_in_space(const SpaceLives::Call& call) {
  if (call.name == "clone") return (call.first.value_or(0) & kCloneVm) != 0;
  return call.name != "fork";
}

}  // namespace

ProcessKey SpaceLives::begin(SpaceId id, std::string_view program,
                             const std::function<bool(SpaceId)>& is_there) {
  const auto before = std::ranges::find_if(spaces_, [&](const auto& known) {
    const Space& space = known.second;
    return !program.empty() && space.exec == program && !is_there(known.first);
  });
  ProcessKey process{};
  if (before != spaces_.end()) {
    process = before->second.process;
    spaces_.erase(before);
  } else {
    process = ProcessKey{++processes_};
  }
  spaces_[id] = Space{process};
  return process;
}

ProcessKey SpaceLives::enter(SpaceId id, const Call& call) {
  Space& space = spaces_[id];
  if (space.over || space.process == ProcessKey{}) space = Space{ProcessKey{++processes_}};
  const Effect effect = effect_of(call.name);
  space.exec = effect == Effect::kExecs ? call.path : std::string();
  if (effect == Effect::kSpawns && stays_in_space(call)) ++space.others;
  if (effect == Effect::kExits) space.over = true;
  if (call.name == "exit") exit(space);
  return space.process;
}

void SpaceLives::exit(Space& space) {
  if (space.others > 0) {
    --space.others;
  } else {
    space.over = true;
  }
}

void SpaceLives::leave(SpaceId id) {
  const auto known = spaces_.find(id);
  if (known != spaces_.end() && known->second.exec.empty()) spaces_.erase(known);
}

bool SpaceLives::is_over(SpaceId id) const {
  const auto known = spaces_.find(id);
  return known == spaces_.end() || known->second.over;
}

}  // namespace swat::os
