// What swatd prints besides the log: ps, modules, functions, doctor. Each reads a stopped guest,
// but for print_syscalls, and writes to stdout.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "daemon/planner.hpp"
#include "daemon/root_folder.hpp"
#include "daemon/vm.hpp"
#include "osmodels/model.hpp"

namespace swat::daemon {

[[nodiscard]] Result<> print_processes(os::OsModel& model);
[[nodiscard]] Result<> print_modules(os::OsModel& model, std::optional<std::uint32_t> pid);
// `glob` is NAME or MODULE!NAME. `files`: of the guest, on this host; null for none.
[[nodiscard]] Result<> print_functions(os::OsModel& model, std::optional<std::uint32_t> pid,
                                       const std::string& glob,
                                       std::shared_ptr<const RootFolder> files);
// Structure offsets, a line each; all of it as a symbol table for Volatility 3 goes to the file
// `isf`, if that is not "". Without BTF they are inferred, whatever the kernel says of itself.
[[nodiscard]] Result<> print_profile(os::GuestView& guest, const std::string& isf, bool use_btf);
// What a build of Windows calls its system calls, "c8 NtRequestWaitReplyPort" a line; "": the
// builds that there are tables of. kUsage: there is none of that name.
[[nodiscard]] Result<> print_syscalls(const std::string& build);
// Runs the guest for up to half a second to measure what a stop costs; leaves it stopped.
// `asked`: how it was attached to.
[[nodiscard]] Result<> print_doctor(Vm& vm, os::OsModel& model, const Planner& planner,
                                    const Selection& selection, const AttachOptions& asked);
// What stands in the way, where nothing could be connected to.
void print_doctor_unconnected(const AttachOptions& asked);

}  // namespace swat::daemon
