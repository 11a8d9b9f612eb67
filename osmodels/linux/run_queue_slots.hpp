// Where the scheduler's run queue of a CPU has the running task: found by its neighbours.
//
// struct rq { ... curr, [dl_server,] idle, stop (since 2.6.37), next_balance, prev_mm ... }. curr
// is set at each change of tasks, before the stacks are switched; idle is init_task on the CPU that
// booted; stop is its migration thread, or null on one CPU; prev_mm is null but in the middle of a
// change. 6.12 has dl_server there, 7.2 has not; it is null, or in the run queue itself.
// [kernel/sched.c of 2.6.32, kernel/sched/sched.h of 3.10 to 6.12]
#pragma once

#include <cstdint>
#include <vector>

#include "osmodels/linux/current_task.hpp"

namespace swat::os {

// Offsets from `base`, what the booting CPU adds to the address of a per-CPU variable in the image,
// the likeliest first.
[[nodiscard]] std::vector<std::uint64_t> run_queue_slots(const CurrentTaskInput& input, Va base);

}  // namespace swat::os
