// The Linux model over memory that does not hold what a kernel wrote: it may fail or be wrong, but
// it ends, and reads nothing of ours.
#include <gtest/gtest.h>

#include <iostream>

#include "damaged_view.hpp"
#include "linux_dump.hpp"
#include "osmodels/model.hpp"

namespace swat::os {
namespace {

using test::DamagedView;
using test::DumpView;

class HostileLinux : public test::LinuxDump {};

void ask_everything(OsModel& model, unsigned vcpus) {
  const auto processes = model.processes();
  if (processes) {
    for (const Process& process : *processes) {
      const auto mappings = model.mappings(process);
      if (mappings) (void)modules_of(*mappings);
    }
  }
  for (unsigned vcpu = 0; vcpu < vcpus; ++vcpu) (void)model.current(vcpu);
  (void)model.syscall_entries();
}

TEST_P(HostileLinux, SurvivesMemoryThatLies) {
  constexpr std::uint64_t kGuests = 4;
  DumpView view(directory_);
  int attached = 0;
  for (std::uint64_t seed = 1; seed <= kGuests; ++seed) {
    // Few lies let attaching succeed and hit the walks; many hit attaching.
    const unsigned one_in = seed % 2 == 0 ? 200000 : 3000;
    DamagedView damaged(view, seed, one_in);
    const bool use_btf = seed < 3;
    const auto guest = attach_linux(damaged, {.use_btf = use_btf, .use_symbols = use_btf});
    if (!guest) continue;
    ++attached;
    ask_everything(*guest->model, damaged.vcpu_count());
  }
  std::cout << GetParam() << ": attached to " << attached << " of " << kGuests
            << " damaged guests\n";
}

// Many lies, but only once attaching is done.
TEST_P(HostileLinux, SurvivesAGuestThatTurnsHostile) {
  DumpView view(directory_);
  DamagedView damaged(view, 0, 0);
  const auto guest = attach_linux(damaged, {.use_btf = true, .use_symbols = false});
  ASSERT_TRUE(guest) << guest.error().what;
  const auto processes = guest->model->processes();
  ASSERT_TRUE(processes);
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    damaged.damage(seed, seed % 2 == 0 ? 50 : 1000);
    guest->model->forget();
    ask_everything(*guest->model, damaged.vcpu_count());
    for (const Process& process : *processes) (void)guest->model->mappings(process);
  }
}

INSTANTIATE_TEST_SUITE_P(Guests, HostileLinux, testing::ValuesIn(test::dump_names()),
                         test::dump_test_name);

}  // namespace
}  // namespace swat::os
