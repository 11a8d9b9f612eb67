#include "osmodels/linux/acceptance.hpp"

#include <array>

#include "osmodels/linux/judged_spaces.hpp"
#include "osmodels/linux/judged_tasks.hpp"

namespace swat::os {
namespace {

using P = LinuxProfile;

struct Judges {
  JudgedTasks& tasks;
  JudgedSpaces& spaces;
};

struct Row {
  std::string_view name;
  Tally (*test)(Judges&);
  bool required;
  std::array<MemberOffset P::*, 5> members;  // that are taken out where an optional one is broken
};

constexpr Row kRows[] = {
    {"task list", [](Judges& j) { return j.tasks.list(); }, true, {}},
    {"task names", [](Judges& j) { return j.tasks.names(); }, true, {}},
    {"ids", [](Judges& j) { return j.tasks.ids(); }, true, {}},
    {"parents and leaders", [](Judges& j) { return j.tasks.relations(); }, true, {}},
    {"kernel stacks", [](Judges& j) { return j.tasks.kernel_stacks(); }, false, {&P::task_stack}},
    {"mappings", [](Judges& j) { return j.spaces.mappings(); }, true, {}},
    {"page tables", [](Judges& j) { return j.spaces.page_tables(); }, true, {}},
    {"access rights", [](Judges& j) { return j.spaces.rights(); }, true, {}},
    {"file names", [](Judges& j) { return j.spaces.files(); }, true, {}},
    {"file offsets", [](Judges& j) { return j.spaces.file_offsets(); }, true, {}},
    {"mounts",
     [](Judges& j) { return j.spaces.mounts(); },
     false,
     {&P::file_mnt, &P::mount_parent, &P::mount_mountpoint, &P::mount_vfsmount, &P::vfsmount_root}},
    {"heap and stack",
     [](Judges& j) { return j.spaces.heap_and_stack(); },
     false,
     {&P::mm_start_brk, &P::mm_brk, &P::mm_start_stack}},
};

}  // namespace

std::size_t Acceptance::count(Invariant::State state) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      invariants, [&](const Invariant& invariant) { return invariant.state == state; }));
}

bool Acceptance::accepts() const {
  return count(Invariant::State::kHolds) >= kFewest &&
         std::ranges::none_of(invariants, [](const Invariant& invariant) {
           return invariant.required && invariant.state == Invariant::State::kBroken;
         });
}

std::string Acceptance::to_string() const {
  std::string text = std::to_string(count(Invariant::State::kHolds)) + " of " +
                     std::to_string(invariants.size()) + " invariants agree";
  for (const Invariant& invariant : invariants) {
    if (invariant.state == Invariant::State::kHolds) continue;
    text += "; " + std::string(invariant.name) + ": " + invariant.found;
  }
  return text;
}

Acceptance judge_profile(const AcceptanceInput& input, LinuxProfile& profile) {
  Acceptance acceptance;
  const LinuxProfile judged = profile;
  JudgedTasks tasks(input, judged);
  JudgedSpaces spaces(input, judged, tasks);
  Judges judges{tasks, spaces};
  bool listed = true;
  for (const Row& row : kRows) {
    Invariant invariant{row.name, row.required, {}, "nothing to look at"};
    const Tally tally = listed ? row.test(judges) : Tally{};
    invariant.state = tally.state();
    if (tally.of != 0) {
      invariant.found = std::to_string(tally.agree) + " of " + std::to_string(tally.of) + " agree";
    }
    const bool broken = invariant.state == Invariant::State::kBroken;
    if (broken && !row.required) {
      for (const auto member : row.members) {
        if (member != nullptr) (profile.*member).reset();
      }
    }
    listed = listed && !(broken && &row == &kRows[0]);
    acceptance.invariants.push_back(std::move(invariant));
  }
  return acceptance;
}

}  // namespace swat::os
