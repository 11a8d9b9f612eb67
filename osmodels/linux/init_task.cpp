#include "osmodels/linux/init_task.hpp"

#include <string_view>

#include "osmodels/linux/blob.hpp"

namespace swat::os {
namespace {

constexpr std::size_t kCommBytes = 16;

}  // namespace

bool is_init_comm(std::span<const std::byte> field) {
  for (const std::string_view name : {"swapper", "swapper/0"}) {
    std::array<char, kCommBytes> want{};
    std::ranges::copy(name, want.begin());
    if (std::memcmp(field.data(), want.data(), kCommBytes) == 0) return true;
  }
  return false;
}

std::vector<Va> init_comms(const symbols::KernelImage& image) {
  constexpr std::size_t kMostHits = 64;
  std::vector<Va> hits;
  for (std::size_t i = 0; i + kCommBytes <= image.bytes.size() && hits.size() < kMostHits; i += 2) {
    if (image.bytes[i] != std::byte{'s'}) continue;
    if (is_init_comm(image.bytes.subspan(i, kCommBytes))) hits.push_back(image.address_of(i));
  }
  return hits;
}

bool is_init_task(VirtualMemory& kernel, const LinuxProfile& profile, Va task) {
  const Blob blob = read_sparse(kernel, task, *profile.task_comm + kCommBytes, profile.layout);
  return blob.load<std::uint32_t>(*profile.task_pid) == 0 &&
         blob.word(*profile.task_real_parent) == task.value &&
         (!profile.task_group_leader || blob.word(*profile.task_group_leader) == task.value) &&
         profile.layout.is_pointer(blob.word(*profile.task_tasks)) &&
         is_init_comm(std::span(blob.bytes).subspan(*profile.task_comm, kCommBytes));
}

std::optional<Va> find_init_task(VirtualMemory& kernel, const LinuxProfile& profile,
                                 const symbols::KernelImage& image) {
  for (const Va comm : init_comms(image)) {
    const Va task = comm - *profile.task_comm;
    if (profile.layout.is_pointer(task.value) && is_init_task(kernel, profile, task)) return task;
  }
  return {};
}

}  // namespace swat::os
