// The guest must run on however swatd ends, `kill -9` included. A guardian is a child process that
// holds the read end of a pipe and nothing else; when the pipe closes while it is armed, swatd has
// died with the guest in its hands, and the guardian connects to the stub, removes every trap and
// lets the guest go (DESIGN.md section 6).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "gdbproto/socket_link.hpp"
#include "symbols/result.hpp"

namespace swat::daemon {

// How to put the VM back.
struct GuardianDuty {
  gdbproto::Endpoint stub;
  bool leave_paused = false;                       // it was paused before us
  std::optional<gdbproto::Endpoint> stop_stub_by;  // QMP monitor, when we started the stub
  std::vector<std::string> restore_log = {};       // monitor commands, while QEMU logs for us
  std::string folder = {};                         // of ours, to be removed; empty for none
};

class Guardian {
 public:
  // Forks. Call it before there are threads, sockets or an IoLoop.
  [[nodiscard]] static Result<Guardian> start();

  Guardian(Guardian&& other) noexcept;
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;
  Guardian& operator=(Guardian&&) = delete;
  ~Guardian();  // ends the child; an armed one does its duty first

  // Before the stub is touched, and again whenever the duty changes.
  [[nodiscard]] Result<> arm(const GuardianDuty& duty);
  // After the VM has been left as it was found.
  [[nodiscard]] Result<> disarm();

 private:
  Guardian(int pipe, pid_t child) : pipe_(pipe), child_(child) {}
  [[nodiscard]] Result<> say(const std::string& line) const;

  int pipe_ = -1;
  pid_t child_ = -1;
};

// What the guardian does, also for those who must clean up behind another swatd: connects, removes
// all traps, resumes (or not), stops the stub if we had started it. Retries for `patience`.
[[nodiscard]] Result<> release_vm(const GuardianDuty& duty, std::chrono::milliseconds patience);

}  // namespace swat::daemon
