// A Linux guest, as far as a walk over its structures needs one, and the walks. The input begins
// with what attaching would have found out; the rest is RAM (input.hpp).
#pragma once

#include <utility>

#include "geometries.hpp"
#include "osmodels/linux/acceptance.hpp"
#include "osmodels/linux/inference.hpp"
#include "osmodels/linux/mappings.hpp"
#include "osmodels/linux/process_list.hpp"
#include "osmodels/linux/task_reader.hpp"

namespace swat::fuzz {

struct LinuxInput {
  static constexpr std::uint8_t kNarrow = 1;  // bits of `flags`
  static constexpr std::uint8_t kListOfTasks = 2;
  static constexpr std::uint8_t kMapsKernel = 4;
  static constexpr std::uint16_t kNoMember = 0xffff;

  std::uint8_t geometry = 0;
  std::uint8_t flags = 0;
  Pa root;
  Va init_task;
  Va entry;
  os::LinuxProfile profile;

  [[nodiscard]] const os::PageGeometry& page_geometry() const { return geometry_of(geometry); }
  [[nodiscard]] bool maps_kernel() const { return (flags & kMapsKernel) != 0; }
};

inline LinuxInput take_linux(Input& input) {
  LinuxInput guest;
  guest.geometry = input.take<std::uint8_t>();
  guest.flags = input.take<std::uint8_t>();
  guest.root = Pa{input.take<std::uint64_t>()};
  guest.init_task = Va{input.take<std::uint64_t>()};
  guest.entry = Va{input.take<std::uint64_t>()};
  os::LinuxProfile& profile = guest.profile;
  profile.layout = os::kX86_64Layout;
  profile.layout.word_bytes = (guest.flags & LinuxInput::kNarrow) != 0 ? 4 : 8;
  profile.layout.lowest_address = input.take<std::uint64_t>();
  profile.task_list_of_tasks = (guest.flags & LinuxInput::kListOfTasks) != 0;
  for (const os::ProfileField& field : os::profile_fields()) {
    const auto offset = input.take<std::uint16_t>();
    if (offset != LinuxInput::kNoMember) profile.*field.member = offset;
  }
  return guest;
}

// Processes, and the mappings of some of them.
inline void walk_structures(PhysicalMemory& ram, const LinuxInput& guest) {
  constexpr std::size_t kMostSpaces = 4;
  os::AddressSpace kernel(ram, guest.page_geometry(), guest.root);
  os::TaskReader tasks(ram, kernel, guest.profile);
  const auto processes = os::read_processes(guest.profile, tasks, guest.init_task);
  if (!processes) return;
  std::size_t spaces = 0;
  for (const os::Process& process : *processes) {
    if (process.memory_object.is_null() || ++spaces > kMostSpaces) continue;
    const auto mappings = os::read_mappings(kernel, guest.profile, process.memory_object);
    if (mappings) (void)os::modules_of(*mappings);
  }
}

inline void judge(PhysicalMemory& ram, const LinuxInput& guest, os::LinuxProfile profile) {
  os::AddressSpace kernel(ram, guest.page_geometry(), guest.root);
  const os::Acceptance acceptance = os::judge_profile(
      {ram, kernel, guest.page_geometry(), guest.maps_kernel(), guest.entry, guest.init_task},
      profile);
  require(!acceptance.to_string().empty());
}

// The profile anew, from a kernel image that has init_task alone.
inline Result<os::InferredProfile> infer(PhysicalMemory& ram, const LinuxInput& guest) {
  constexpr std::size_t kTaskBytes = 0x3000;
  os::AddressSpace kernel(ram, guest.page_geometry(), guest.root);
  const os::KernelLayout& layout = guest.profile.layout;
  const os::Blob task = os::read_sparse(kernel, guest.init_task, kTaskBytes, layout);
  return os::infer_profile({ram,
                            kernel,
                            guest.page_geometry(),
                            guest.maps_kernel(),
                            {guest.init_task, task.bytes, layout.word_bytes},
                            layout,
                            guest.entry,
                            guest.init_task});
}

}  // namespace swat::fuzz
