#include "osmodels/windows/processes.hpp"

#include <algorithm>
#include <unordered_set>

#include "osmodels/windows/kernel_locator.hpp"
#include "symbols/span_load.hpp"

namespace swat::os::windows {
namespace {

using symbols::load_word;

constexpr std::size_t kMostProcesses = 1 << 16;
constexpr std::uint64_t kHighestPid = 1 << 26;

// Bytes from the start of an EPROCESS up to the last member that is read.
std::size_t bytes_to_read(const WindowsOffsets& offsets, unsigned word_bytes) {
  std::uint32_t last = *offsets.process_name + kImageNameBytes;
  for (const MemberOffset& member :
       {offsets.process_pid, offsets.process_links, offsets.process_parent_pid, offsets.process_peb,
        offsets.process_wow64}) {
    last = std::max(last, member.value_or(0) + word_bytes);
  }
  return last;
}

// Behind a NUL may be what another process has left.
std::string image_name(std::span<const std::byte> bytes, std::size_t at) {
  const std::string_view text = symbols::as_text(bytes.subspan(at, kImageNameBytes));
  return std::string(text.substr(0, text.find('\0')));
}

}  // namespace

Result<std::uint64_t> read_pointer(VirtualMemory& memory, Va at, unsigned word_bytes) {
  if (word_bytes == 8) return read_as<std::uint64_t>(memory, at);
  return read_as<std::uint32_t>(memory, at);
}

Result<ProcessEntry> read_process(const KernelSpace& kernel, Va object) {
  const WindowsOffsets& offsets = kernel.offsets;
  const std::size_t size = bytes_to_read(offsets, kernel.word_bytes);
  const auto bytes = SWAT_TRY(read_bytes(kernel.memory, object, size));
  const auto word = [&](const MemberOffset& at) {
    return at ? load_word(bytes, *at, kernel.word_bytes).value_or(0) : 0;
  };
  const std::uint64_t pid = word(offsets.process_pid);
  const std::uint64_t root = word(page_table_at(kernel.word_bytes));
  if (pid >= kHighestPid || root == 0) {
    return fail(Errc::kBadImage, "no EPROCESS", object.value);
  }
  ProcessEntry entry;
  entry.peb = Va{word(offsets.process_peb)};
  entry.wow64 = Va{word(offsets.process_wow64)};
  Process& process = entry.process;
  process.object = process.memory_object = object;
  process.pid = static_cast<std::uint32_t>(pid);
  process.parent_pid = static_cast<std::uint32_t>(word(offsets.process_parent_pid));
  process.key = ProcessKey{pid};
  process.parent = ProcessKey{process.parent_pid};
  process.name = image_name(bytes, *offsets.process_name);
  process.page_table = root_of(kernel.geometry, root);
  process.is_32_bit = kernel.word_bytes == 4 || !entry.wow64.is_null();
  return entry;
}

Result<std::vector<ProcessEntry>> read_ring(const KernelSpace& kernel, Va system) {
  const std::uint32_t link = *kernel.offsets.process_links;
  if (kernel.image.contains(system + link)) {
    return fail(Errc::kBadImage, "System would be the head of its ring", system.value);
  }
  std::vector<ProcessEntry> processes;
  std::unordered_set<Va> seen;
  for (Va object = system; object != system || processes.empty();) {
    if (!kernel.is_pointer(object) || seen.size() >= kMostProcesses ||
        !seen.insert(object).second) {
      return fail(Errc::kBadImage, "ring of processes without an end", object.value);
    }
    // The head's link points into the image; it is no part of a process.
    if (!kernel.image.contains(object + link)) {
      processes.push_back(SWAT_TRY(read_process(kernel, object)));
    }
    const auto next = SWAT_TRY(read_pointer(kernel.memory, object + link, kernel.word_bytes));
    object = Va{next} - link;
  }
  return processes;
}

Result<Thread> read_current(const KernelSpace& kernel, Va kpcr) {
  const WindowsOffsets& offsets = kernel.offsets;
  const auto word = [&](Va at) { return read_pointer(kernel.memory, at, kernel.word_bytes); };
  Thread thread;
  thread.object = Va{SWAT_TRY(word(kpcr + *offsets.pcr_current_thread))};
  const Va process{SWAT_TRY(word(thread.object + *offsets.thread_process))};
  thread.tid = static_cast<std::uint32_t>(
      SWAT_TRY(word(thread.object + *offsets.thread_client_id + kernel.word_bytes)));
  thread.process = SWAT_TRY(read_process(kernel, process)).process;
  return thread;
}

}  // namespace swat::os::windows
