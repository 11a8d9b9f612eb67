// The walk over the vCPUs that a stop is not of.
#pragma once

#include <optional>

#include "daemon/watch_stops.hpp"

namespace swat::daemon {

// At a stop, before anything else: `settle_one(vcpu)` of each vCPU but `reported`, with the
// registers of all of them fetched at one round trip. It returns true when it has stepped the vCPU,
// which makes us forget what the others hold.
template <class SettleOne>
[[nodiscard]] Result<> settle_others(const WatchStops::Context& with,
                                     std::optional<unsigned> reported, SettleOne settle_one) {
  const auto& threads = with.vm.session().threads();
  const auto registers = SWAT_TRY(with.vm.session().registers_of(threads));
  const auto remember_from = [&](unsigned first) {
    for (unsigned vcpu = first; vcpu < threads.size(); ++vcpu) {
      with.vm.guest().remember(vcpu, registers[vcpu]);
    }
  };
  remember_from(0);
  for (unsigned vcpu = 0; vcpu < threads.size(); ++vcpu) {
    if (vcpu == reported) continue;
    SWAT_CHECK(with.recorder.meet_stranger(vcpu));
    if (!SWAT_TRY(settle_one(vcpu))) continue;
    remember_from(vcpu + 1);
    if (reported) with.vm.guest().remember(*reported, registers[*reported]);
  }
  return {};
}

}  // namespace swat::daemon
