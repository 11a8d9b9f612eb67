#include "osmodels/linux/kernel_tables.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace swat::os {
namespace {

// A CPU sets the accessed bit when it uses an entry. [Intel SDM vol. 3, 4.8]
constexpr std::uint64_t kAccessed = 0x20;

constexpr std::uint64_t kChunkBytes = 1 << 20;
constexpr std::size_t kMostRoots = 1 << 15;  // as many as pids, by default

}  // namespace

KernelTables::KernelTables(PhysicalMemory& ram, const LocatedKernel& kernel)
    : ram_(ram),
      kernel_(kernel),
      table_bytes_(root_bytes(*kernel.geometry)),
      code_at_(root_entry_of(*kernel.geometry, Pa{}, kernel.entry).value) {
  const auto raw = read_bytes(ram, kernel.root + code_at_, entry_bytes(*kernel.geometry));
  if (raw) code_ = entry_at(*raw);
}

std::uint64_t KernelTables::entry_at(std::span<const std::byte> bytes) const {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), entry_bytes(*kernel_.geometry));
  return value & ~kAccessed;
}

bool KernelTables::has_kernel(std::span<const std::byte> table) const {
  return code_ != 0 && entry_at(table.subspan(code_at_)) == code_;
}

bool KernelTables::maps_alike(Pa root) const {
  AddressSpace known(ram_, *kernel_.geometry, kernel_.root);
  AddressSpace other(ram_, *kernel_.geometry, root);
  const Va last = kernel_.base + (kernel_.bytes.size() - 1);
  return std::ranges::all_of(std::array{kernel_.entry, kernel_.base, last}, [&](Va at) {
    const auto here = known.translate(at);
    const auto there = other.translate(at);
    return here && there && here->at == there->at;
  });
}

std::optional<Pa> KernelTables::own() const {
  AddressSpace space(ram_, *kernel_.geometry, kernel_.root);
  const std::span<const std::byte> image = kernel_.bytes.all();
  for (std::uint64_t at = 0; at + table_bytes_ <= image.size(); at += table_bytes_) {
    const auto table = image.subspan(at, table_bytes_);
    const bool has_user = entry_at(table) != 0;
    if (has_user || !has_kernel(table)) continue;
    const auto root = space.translate(kernel_.base + at);
    if (root && maps_alike(root->at)) return root->at;
  }
  return {};
}

Result<std::vector<Pa>> KernelTables::all() const {
  std::vector<Pa> roots;
  if (kernel_.geometry != kernel_.user_geometry) return roots;
  std::vector<std::byte> chunk(kChunkBytes);
  for (const PaRange& range : ram_.ranges()) {
    for (Pa at = range.start; at < range.end; at = at + kChunkBytes) {
      const auto into = std::span(chunk).first(std::min(kChunkBytes, range.end - at));
      const auto got = ram_.read(at, into);
      if (!got && got.error().code == Errc::kDisconnected) return tl::unexpected(got.error());
      if (got) add_roots(at, into, roots);
    }
  }
  return roots;
}

void KernelTables::add_roots(Pa at, std::span<const std::byte> bytes,
                             std::vector<Pa>& roots) const {
  for (std::uint64_t i = 0; i + table_bytes_ <= bytes.size(); i += table_bytes_) {
    if (!has_kernel(bytes.subspan(i, table_bytes_)) || roots.size() >= kMostRoots) continue;
    if (maps_alike(at + i)) roots.push_back(at + i);
  }
}

}  // namespace swat::os
