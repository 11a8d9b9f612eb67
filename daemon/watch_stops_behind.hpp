// One vCPU that stops behind the access (x86). Nobody else can have hit anything, so that what QEMU
// tells of a stop is what has happened, and as much as possible is done while the guest runs on.
#pragma once

#include "daemon/distant_entries.hpp"
#include "daemon/return_stops.hpp"
#include "daemon/watch_stops.hpp"

namespace swat::daemon {

class WatchStopsBehind final : public WatchStops {
 public:
  // `distant` outlives this.
  WatchStopsBehind(const Context& with, DistantEntries& distant)
      : with_(with),
        distant_(distant),
        returns_(with.vm, with.recorder, with.stepper, with.imports) {}

  Result<> settle(const StopCause& cause) override;
  Result<NextStop> on_watch(unsigned vcpu, Va watch) override;
  Result<> on_unnamed_stop(unsigned) override { return {}; }

 private:
  [[nodiscard]] Result<> on_watch_of(const Actor& actor, Va watch);
  [[nodiscard]] Result<> on_entry(const Actor& actor, const std::vector<const Trap*>& traps);
  [[nodiscard]] Result<> on_dispatch(const Actor& actor, const DispatchTrap& trap);
  [[nodiscard]] Result<> on_import(const Actor& actor, Va watch);

  Context with_;
  DistantEntries& distant_;
  ReturnStops returns_;
};

}  // namespace swat::daemon
