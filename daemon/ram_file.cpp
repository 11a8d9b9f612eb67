// Guest RAM mapped: QEMU was started with memory-backend-file or memory-backend-memfd, share=on,
// and we map the same file. Reads cost a memcpy.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "daemon/ram_backend.hpp"

namespace swat::daemon {
namespace {

class Mapping {
 public:
  Mapping(void* at, std::size_t size_bytes) : bytes_(static_cast<std::byte*>(at), size_bytes) {}
  ~Mapping() {
    if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
  }
  Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  Mapping& operator=(Mapping&&) = delete;
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

// A line of /proc/PID/maps that shares a file.
struct SharedArea {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
  ino_t inode = 0;
  dev_t device = 0;
};

std::optional<SharedArea> shared_area(pid_t qemu, std::uint64_t host_address) {
  std::ifstream maps("/proc/" + std::to_string(qemu) + "/maps");
  std::string line;
  while (std::getline(maps, line)) {
    unsigned long long start = 0, end = 0, offset = 0, inode = 0;
    unsigned major_number = 0, minor_number = 0;
    std::array<char, 5> rights{};
    if (std::sscanf(line.c_str(), "%llx-%llx %4s %llx %x:%x %llu", &start, &end, rights.data(),
                    &offset, &major_number, &minor_number, &inode) != 7) {
      continue;
    }
    if (host_address < start || host_address >= end) continue;
    if (rights[3] != 's' || inode == 0) return {};
    return SharedArea{start, end, offset, static_cast<ino_t>(inode),
                      makedev(major_number, minor_number)};
  }
  return {};
}

// QEMU keeps the file open; a memfd has no other name than that.
Result<int> open_file_of(pid_t qemu, const SharedArea& area, std::uint64_t size_bytes) {
  std::error_code error;
  const std::filesystem::path fds = "/proc/" + std::to_string(qemu) + "/fd";
  for (const auto& fd : std::filesystem::directory_iterator(fds, error)) {
    struct stat status {};
    if (stat(fd.path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    // Inode numbers are small on tmpfs, and each tmpfs has its own.
    if (status.st_ino != area.inode || status.st_dev != area.device) continue;
    // Reading a mapping beyond the end of its file would kill us.
    if (static_cast<std::uint64_t>(status.st_size) < size_bytes) continue;
    const int opened = open(fd.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (opened >= 0) return opened;
  }
  return fail(Errc::kUnsupported, "the RAM file cannot be opened");
}

Result<Mapping> map_block(const RamBlock& block, pid_t qemu) {
  const auto area = shared_area(qemu, block.host_address);
  if (!area) return fail(Errc::kUnsupported, "guest RAM is not a shared file");
  if (area->end - block.host_address < block.range.size()) {
    return fail(Errc::kUnsupported, "guest RAM is scattered over files");
  }
  const auto offset = area->offset + (block.host_address - area->start);
  const int fd = SWAT_TRY(open_file_of(qemu, *area, offset + block.range.size()));
  void* at =
      mmap(nullptr, block.range.size(), PROT_READ, MAP_SHARED, fd, static_cast<off_t>(offset));
  close(fd);
  if (at == MAP_FAILED) return fail(Errc::kUnsupported, "the RAM file cannot be mapped");
  return Mapping(at, block.range.size());
}

class FileRam final : public RamBackend {
 public:
  FileRam(std::vector<RamBlock> blocks, std::vector<Mapping> mappings)
      : RamBackend(std::move(blocks)), mappings_(std::move(mappings)) {}

  std::string_view name() const override { return "file"; }

  Result<> read(Pa at, std::span<std::byte> into) override {
    for (std::size_t i = 0; i < mappings_.size(); ++i) {
      const PaRange& range = ranges()[i];
      if (!range.contains(at) || range.end - at < into.size()) continue;
      std::memcpy(into.data(), mappings_[i].bytes().data() + (at - range.start), into.size());
      return {};
    }
    return fail(Errc::kFault, "not guest RAM", at.value);
  }

 private:
  std::vector<Mapping> mappings_;  // in the order of ranges()
};

}  // namespace

Result<std::unique_ptr<RamBackend>> open_file_ram(const RamSources& sources) {
  if (!sources.qemu) return fail(Errc::kUnsupported, "QEMU is no process that this user can see");
  std::vector<Mapping> mappings;
  for (const RamBlock& block : sources.blocks) {
    if (block.host_address == 0) return fail(Errc::kUnsupported, "gpa2hva does not tell where");
    mappings.push_back(SWAT_TRY(map_block(block, *sources.qemu)));
  }
  return std::make_unique<FileRam>(sources.blocks, std::move(mappings));
}

}  // namespace swat::daemon
