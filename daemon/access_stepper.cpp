#include "daemon/access_stepper.hpp"

#include <algorithm>

namespace swat::daemon {
namespace {

constexpr int kMostWatchesOfOneAccess = 8;

}  // namespace

Result<> AccessStepper::pass(unsigned vcpu, Va watch, const os::Thread& thread) {
  if (SWAT_TRY(stepper_.emulate_and_resume(vcpu, thread))) return {};
  SWAT_CHECK(step_past(vcpu, watch));
  return vm_.session().resume();
}

Result<> AccessStepper::move_past(unsigned vcpu, const os::Thread& thread) {
  const Va pc = vm_.guest().pc(vcpu);
  const auto stop = SWAT_TRY(stepper_.step(vcpu));
  if (vm_.guest().pc(vcpu) != pc) return {};
  if (!SWAT_TRY(stepper_.emulate(vcpu, thread)) && stop.watch) {
    SWAT_CHECK(step_past(vcpu, *stop.watch));
  }
  vm_.guest().forget();
  return {};
}

std::vector<gdbproto::Point> AccessStepper::points_at(Va watch) const {
  std::vector<gdbproto::Point> points;
  for (const Trap* trap : traps_.at_watch(watch)) points.push_back(trap->point);
  if (const auto result = returns_.watched(watch)) points.push_back(result->point());
  return points;
}

// At a watch's own stop it may go. (facts/qemu.md 0.2) One access may meet several watches.
Result<> AccessStepper::step_past(unsigned vcpu, Va watch) {
  const Va pc = vm_.guest().pc(vcpu);
  std::vector<gdbproto::Point> away;
  Result<> stepped;
  for (int i = 0; i < kMostWatchesOfOneAccess && stepped; ++i) {
    std::vector<gdbproto::Point> found;
    for (const gdbproto::Point& point : points_at(watch)) {
      if (std::ranges::find(away, point) == away.end() &&
          std::ranges::find(found, point) == found.end()) {
        found.push_back(point);
      }
    }
    if (!found.empty()) stepped = vm_.session().remove(found);
    away.insert(away.end(), found.begin(), found.end());
    if (!stepped) break;
    const auto stop = stepper_.step(vcpu);
    if (!stop) stepped = tl::unexpected(stop.error());
    if (!stop || !stop->watch || vm_.guest().pc(vcpu) != pc) break;
    watch = *stop->watch;
  }
  auto back = away.empty() ? Result<>{} : vm_.session().insert(away);
  SWAT_CHECK(stepped);
  return back;
}

}  // namespace swat::daemon
