// A guest of the test's own making: address spaces of a few regions, and a model that knows all.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "osmodels/model.hpp"
#include "tests/osmodels/memory_fakes.hpp"
#include "tests/symbols/tiny_elf.hpp"

namespace swat::daemon {

// Bytes at a few addresses; the rest, and pages that were lost, cannot be read.
class SparseMemory final : public VirtualMemory {
 public:
  void put(Va at, std::vector<std::uint8_t> bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes_[at.value + i] = bytes[i];
  }
  void put_word(Va at, std::uint64_t word) {
    for (unsigned i = 0; i < 8; ++i)
      bytes_[at.value + i] = static_cast<std::uint8_t>(word >> (8 * i));
  }
  void lose_page(Va page) { lost_.insert(page.value); }
  void page_in(Va page) { lost_.erase(page.value); }

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    for (std::size_t i = 0; i < into.size(); ++i) {
      const auto byte = bytes_.find(at.value + i);
      const bool lost = lost_.contains((at.value + i) & ~std::uint64_t{4095});
      if (byte == bytes_.end() || lost) return fail(Errc::kFault, "not there", at.value + i);
      into[i] = std::byte{byte->second};
    }
    return {};
  }

 private:
  std::map<std::uint64_t, std::uint8_t> bytes_;
  std::set<std::uint64_t> lost_;
};

// What OsModel::memory() gives out: a view of a SparseMemory that the test goes on changing.
class SharedView final : public VirtualMemory {
 public:
  explicit SharedView(SparseMemory& memory) : memory_(memory) {}
  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    return memory_.read(at, into);
  }

 private:
  SparseMemory& memory_;
};

class FakeModel final : public os::OsModel {
 public:
  std::vector<os::Process> alive;  // what processes() tells

  std::string_view name() const override { return "fake"; }
  std::string version() const override { return "1"; }
  std::vector<std::string> provenance() const override { return {}; }
  Result<std::vector<os::Process>> processes() override { return alive; }
  Result<std::vector<os::Mapping>> mappings(const os::Process& process) override {
    if (maps_fail) return fail(Errc::kFault, "maps in the middle of an exec");
    return maps[process.memory_object.value];
  }
  std::unique_ptr<VirtualMemory> memory(const os::Process& process) override {
    return std::make_unique<SharedView>(spaces[process.memory_object.value]);
  }
  std::unique_ptr<VirtualMemory> memory_and_files(const os::Process& process) override {
    const auto found = spaces_and_files.find(process.memory_object.value);
    if (found == spaces_and_files.end()) return memory(process);
    return std::make_unique<SharedView>(found->second);
  }
  VirtualMemory& kernel_memory() override { return kernel; }
  Result<os::Thread> current(unsigned) override { return fail(Errc::kUnsupported, "not here"); }
  Result<std::vector<os::SyscallEntry>> syscall_entries() override { return entries; }
  Result<std::shared_ptr<const os::SyscallDispatch>> syscall_dispatch(bool compat) override {
    if (dispatches[compat ? 1 : 0] == nullptr) return fail(Errc::kNotFound, "no dispatch");
    return dispatches[compat ? 1 : 0];
  }
  Result<Va> per_cpu_base(unsigned vcpu) override {
    return Va{0xffff888000000000 + vcpu * 0x100000};
  }
  Result<> track_results() override {
    return tracks_results ? Result<>() : fail(Errc::kUnsupported, "no results");
  }
  bool sees_touched_pages_only() const override { return touched_pages_only; }
  void forget() override {}

  std::map<std::uint64_t, std::vector<os::Mapping>> maps;  // by memory object
  std::map<std::uint64_t, SparseMemory> spaces;
  std::map<std::uint64_t, SparseMemory> spaces_and_files;  // where they differ
  SparseMemory kernel;
  std::vector<os::SyscallEntry> entries;
  std::array<std::shared_ptr<const os::SyscallDispatch>, 2> dispatches;  // native, compat
  bool maps_fail = false;
  bool touched_pages_only = false;
  bool tracks_results = false;
};

class FakeGuest final : public os::GuestView {
 public:
  explicit FakeGuest(unsigned vcpus) : vcpus_(vcpus) {}
  os::Architecture architecture() const override { return os::Architecture::kX86_64; }
  unsigned vcpu_count() const override { return vcpus_; }
  Result<std::uint64_t> reg(unsigned, std::string_view) override {
    return fail(Errc::kNotFound, "no registers");
  }
  Result<os::X86SystemTables> x86_tables(unsigned) override {
    return fail(Errc::kUnsupported, "no tables");
  }
  PhysicalMemory& ram() override { return ram_; }

 private:
  unsigned vcpus_;
  test::ArrayRam ram_{16};
};

[[nodiscard]] inline os::Thread thread_of(std::uint32_t pid, std::uint64_t memory_object,
                                          std::uint32_t tid = 0) {
  os::Thread thread;
  thread.tid = tid == 0 ? pid : tid;
  thread.process.pid = pid;
  thread.process.key = os::ProcessKey{pid};
  thread.process.name = "proc" + std::to_string(pid);
  thread.process.memory_object = Va{memory_object};
  return thread;
}

// Maps a TinyElf at `base` into the address space `memory_object`.
inline void map_tiny_elf(FakeModel& model, std::uint64_t memory_object, Va base,
                         const std::string& path, std::uint64_t file_id) {
  symbols::TinyElf elf;
  std::vector<std::uint8_t> bytes(elf.bytes().size());
  std::memcpy(bytes.data(), elf.bytes().data(), bytes.size());
  model.spaces[memory_object].put(base, std::move(bytes));
  os::Mapping mapping;
  mapping.range = {base, base + symbols::TinyElf::kBytes};
  mapping.path = path;
  mapping.readable = mapping.executable = true;
  mapping.file_id = file_id;
  model.maps[memory_object].push_back(mapping);
}

}  // namespace swat::daemon
