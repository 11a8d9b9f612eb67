#include "osmodels/windows/given_offsets.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace swat::os::windows {
namespace {

struct NamedMember {
  std::string_view name;
  MemberOffset WindowsOffsets::*member;
};
// A kernel has one name of each.
constexpr NamedMember kNames[] = {
    {"_KPCR.Prcb.CurrentThread", &WindowsOffsets::pcr_current_thread},      // x64
    {"_KPCR.PrcbData.CurrentThread", &WindowsOffsets::pcr_current_thread},  // x86
    {"_KTHREAD.ApcState.Process", &WindowsOffsets::thread_process},
    {"_ETHREAD.Cid", &WindowsOffsets::thread_client_id},
    {"_EPROCESS.UniqueProcessId", &WindowsOffsets::process_pid},
    {"_EPROCESS.ActiveProcessLinks", &WindowsOffsets::process_links},
    {"_EPROCESS.InheritedFromUniqueProcessId", &WindowsOffsets::process_parent_pid},
    {"_EPROCESS.ImageFileName", &WindowsOffsets::process_name},
    {"_EPROCESS.Peb", &WindowsOffsets::process_peb},
    {"_EPROCESS.Wow64Process", &WindowsOffsets::process_wow64},
    {"_EPROCESS.WoW64Process", &WindowsOffsets::process_wow64},  // since 10
    {"_EPROCESS.VadRoot", &WindowsOffsets::process_vad_root},
};

std::string_view machine_name(std::uint16_t machine) {
  if (machine == symbols::kPeMachineI386) return "x86";
  return machine == symbols::kPeMachineX86_64 ? "x64" : "another machine";
}

}  // namespace

symbols::MemberNames given_member_names() {
  static const auto names = [] {
    std::array<std::string_view, std::size(kNames)> all;
    std::ranges::transform(kNames, all.begin(), &NamedMember::name);
    return all;
  }();
  return names;
}

// 32-bit kernels have no 32-bit side of a process.
WindowsOffsets offsets_of(const symbols::MemberProfile& given) {
  WindowsOffsets offsets;
  for (const NamedMember& row : kNames) {
    const auto found = given.offsets.find(row.name);
    if (found != given.offsets.end()) offsets.*row.member = found->second;
  }
  if (given.machine == symbols::kPeMachineI386) offsets.process_wow64.reset();
  return offsets;
}

Result<> check_given(const symbols::MemberProfile& given, const symbols::PeImage& kernel,
                     const Result<symbols::PeDebugId>& debug_id) {
  if (given.machine != kernel.machine()) {
    return fail(Errc::kUsage,
                given.path + " is of a kernel for " + std::string(machine_name(given.machine)) +
                    ", and the guest's is for " + std::string(machine_name(kernel.machine())));
  }
  if (!debug_id) return {};
  if (given.id.guid == debug_id->guid && given.id.age == debug_id->age) return {};
  return fail(Errc::kUsage, given.path + " is of another kernel (" + describe(given.id) +
                                ") than the guest's (" + describe(*debug_id) + ")");
}

std::string describe(const symbols::PeDebugId& id) {
  return id.file + " " + id.guid + " " + std::to_string(id.age);
}

}  // namespace swat::os::windows
