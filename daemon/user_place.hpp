// Where a stopped thread is in user mode.
#pragma once

#include <optional>

#include "daemon/stopped_guest.hpp"
#include "osmodels/model.hpp"

namespace swat::daemon {

struct UserPlace {
  Va pc;
  Va sp;
};

// Where the vCPU stands; or, at the first instruction of the page fault handler, where it was going
// to: an instruction whose page is absent faults before QEMU stops the vCPU for what the one before
// it has read. None: it is in the kernel for another reason. The guest stands still.
[[nodiscard]] std::optional<UserPlace> user_place(StoppedGuest& guest, os::OsModel& model,
                                                  unsigned vcpu);

// Of the code that the vCPU executes in user mode, or was going to.
[[nodiscard]] unsigned user_word_bytes(StoppedGuest& guest, unsigned vcpu,
                                       const os::Process& process);

}  // namespace swat::daemon
