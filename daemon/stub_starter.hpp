// A gdbstub for a VM that was started without one: QMP knows whether there is one, HMP's
// `gdbserver` starts one at run time.
#pragma once

#include "gdbproto/qmp.hpp"
#include "gdbproto/socket_link.hpp"
#include "symbols/result.hpp"

namespace swat::daemon {

struct StubPlace {
  gdbproto::Endpoint endpoint;
  bool started_by_us;
};

// kUnsupported, with what to do, when the VM's own stub is in use or is of a kind we cannot reach.
[[nodiscard]] Result<StubPlace> find_or_start_stub(gdbproto::Qmp& qmp,
                                                   const gdbproto::Endpoint& monitor);

// The address in what query-chardev says of the stub: "disconnected:tcp:0.0.0.0:1234,server=on",
// "unix:/run/g.sock,server=on".
[[nodiscard]] Result<gdbproto::Endpoint> parse_chardev_filename(std::string_view filename);

// A connection to a stub that already has a client would wait in its backlog, and stop the guest
// when its turn comes. So where the sockets of this host show it, say so before connecting.
[[nodiscard]] bool stub_is_taken(const gdbproto::Endpoint& endpoint);

// The same from QMP, which tells it of a remote stub too. False when the VM has no stub of its own.
[[nodiscard]] Result<bool> stub_has_client(gdbproto::Qmp& qmp);

}  // namespace swat::daemon
