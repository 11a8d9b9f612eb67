// Did the guest run before we came? Who connects to a gdbstub stops its guest, so this must be
// known before, or guessed from signs afterwards: a guest that was paused is to be left paused.
#pragma once

#include <optional>
#include <string>

#include "daemon/process_memory.hpp"
#include "daemon/qemu_run_state.hpp"
#include "gdbproto/session.hpp"
#include "gdbproto/socket_link.hpp"

namespace swat::daemon {

class RunStateBefore {
 public:
  // QMP's word, from before the stub was touched.
  [[nodiscard]] static RunStateBefore told(std::string qmp_state);
  // Looks into the QEMU of this host that listens on `endpoint` (its stub, or a monitor of it), and
  // touches nothing. Another host's, another user's, or a build that does not let itself be read:
  // then was_running() goes by signs.
  [[nodiscard]] static RunStateBefore seen_at(const gdbproto::Endpoint& endpoint);

  // False while nobody knows.
  [[nodiscard]] bool known_paused() const { return state_ && *state_ != "running"; }

  // Once the session's handshake is done. What was seen in QEMU's memory counts only if what is to
  // be seen there now is what the monitor says. `saw_stop`: the stub had spoken unasked.
  [[nodiscard]] Result<bool> was_running(gdbproto::Session& session, bool saw_stop) const;

 private:
  struct Witness {
    ProcessMemory qemu;
    QemuRunState run_state;
  };
  [[nodiscard]] static Result<Witness> find_witness(const gdbproto::Endpoint& endpoint);
  [[nodiscard]] Result<> check(const std::string& status) const;

  std::optional<std::string> state_;
  std::optional<Witness> witness_;  // none where QMP has told
};

}  // namespace swat::daemon
