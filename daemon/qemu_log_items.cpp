#include "daemon/qemu_log_items.hpp"

#include "daemon/process_memory.hpp"
#include "symbols/elf_image.hpp"

namespace swat::daemon {
namespace {

// A row of qemu_log_items as QEMU's compiler lays it out on a 64-bit host.
struct Item {
  std::uint32_t mask;
  std::uint32_t padding;
  std::uint64_t name;
  std::uint64_t help;
};
static_assert(sizeof(Item) == 24);

constexpr std::size_t kMaxItems = 64;
constexpr std::size_t kMaxNameBytes = 32;

}  // namespace

Result<std::string> read_log_items(VirtualMemory& qemu, Va image) {
  const auto elf = SWAT_TRY(symbols::ElfImage::open(qemu, image));
  const auto level_at = SWAT_TRY(elf.find(qemu, "qemu_loglevel"));
  const auto items_at = SWAT_TRY(elf.find(qemu, "qemu_log_items"));
  if (!elf.is_64_bit() || level_at.size_bytes != sizeof(std::uint32_t)) {
    return fail(Errc::kUnsupported, "QEMU's log level looks otherwise");
  }
  const auto level = SWAT_TRY(read_as<std::uint32_t>(qemu, level_at.address));
  const std::size_t count = std::min(items_at.size_bytes / sizeof(Item), kMaxItems);
  std::string names;
  for (std::size_t i = 0; i < count; ++i) {
    const auto item = SWAT_TRY(read_as<Item>(qemu, items_at.address + i * sizeof(Item)));
    if (item.mask == 0) break;
    if ((level & item.mask) != item.mask) continue;
    if (!names.empty()) names.push_back(',');
    names += SWAT_TRY(read_c_string(qemu, Va{item.name}, kMaxNameBytes));
  }
  return names;
}

Result<std::string> read_log_items(pid_t pid) {
  ProcessMemory qemu(pid);
  Error last{Errc::kNotFound, "no program of that process exports a log level", {}};
  for (const MappedFile& file : SWAT_TRY(mapped_files(pid))) {
    auto items = read_log_items(qemu, file.start);
    if (items) return items;
    if (items.error().code == Errc::kUnsupported) last = std::move(items).error();
  }
  return tl::unexpected(std::move(last));
}

}  // namespace swat::daemon
