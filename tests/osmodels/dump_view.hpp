// A guest that dump_guest saved: its RAM, its registers, and what it said of itself.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "osmodels/guest.hpp"

namespace swat::test {

class DumpRam final : public PhysicalMemory {
 public:
  explicit DumpRam(const std::filesystem::path& file);
  ~DumpRam() override;
  DumpRam(const DumpRam&) = delete;
  DumpRam& operator=(const DumpRam&) = delete;

  const std::vector<PaRange>& ranges() const override { return ranges_; }
  Result<> read(Pa at, std::span<std::byte> into) override;

 private:
  const std::byte* bytes_ = nullptr;
  std::size_t size_ = 0;
  std::vector<PaRange> ranges_;
};

class DumpView final : public os::GuestView {
 public:
  explicit DumpView(const std::filesystem::path& directory);

  os::Architecture architecture() const override { return os::Architecture::kX86_64; }
  unsigned vcpu_count() const override { return static_cast<unsigned>(registers_.size()); }
  Result<std::uint64_t> reg(unsigned vcpu, std::string_view name) override;
  Result<os::X86SystemTables> x86_tables(unsigned vcpu) override;
  PhysicalMemory& ram() override { return ram_; }

  // As the device state would tell them; dump_guest has no such source.
  std::optional<Va> lstar;

 private:
  DumpRam ram_;
  std::vector<std::map<std::string, std::uint64_t, std::less<>>> registers_;
};

// The guest's own /proc.
struct Truth {
  struct Process {
    std::uint32_t pid = 0;
    std::uint32_t parent_pid = 0;
    std::string name;
    std::vector<std::string> maps;  // lines of /proc/PID/maps
    std::vector<std::uint32_t> threads;
  };
  std::uint32_t reporter = 0;  // pid of the process that printed all this
  std::string version;
  std::map<std::uint32_t, Process> processes;
};
[[nodiscard]] Truth read_truth(const std::filesystem::path& directory);

}  // namespace swat::test
