#include "osmodels/windows/process_images.hpp"

#include <algorithm>
#include <cctype>
#include <functional>

namespace swat::os::windows {
namespace {

constexpr std::uint64_t kPage = 4096;

// The same path and size: the same file, as long as nobody replaces it in a running system.
Mapping mapping_of(VaRange range, std::string path) {
  Mapping mapping;
  mapping.range = range;
  mapping.readable = mapping.executable = true;
  const std::string identity = path + '\n' + std::to_string(range.end - range.start);
  mapping.file_id = std::hash<std::string>{}(identity) | 1;
  mapping.path = std::move(path);
  return mapping;
}

VaRange range_of(const LoadedImage& image) {
  return {image.base, (image.base + image.size_bytes + (kPage - 1)).aligned_down(kPage)};
}

// Capitals of ASCII aside, as file systems of Windows compare.
bool is_same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

// `mapped` is ascending.
void ProcessImages::learn_drives(std::span<const MappedImage> mapped,
                                 std::span<const LoadedImage> loaded) {
  constexpr std::size_t kDriveBytes = 2;  // "C:"
  constexpr std::size_t kMostDrives = 256;
  for (const LoadedImage& image : loaded) {
    const std::string_view path = image.path;
    if (path.size() <= kDriveBytes || path[1] != ':') continue;
    const auto at = std::ranges::lower_bound(mapped, image.base, {},
                                             [](const auto& m) { return m.range.start; });
    if (at == mapped.end() || at->range.start != image.base) continue;
    if (!is_same_name(path.substr(kDriveBytes), at->path)) continue;
    if (drives_.size() < kMostDrives) drives_.try_emplace(at->device, path.substr(0, kDriveBytes));
  }
}

std::string ProcessImages::drive_of(Va device) const {
  const auto known = drives_.find(device);
  return known == drives_.end() ? std::string() : known->second;
}

std::vector<Mapping> ProcessImages::of(Va process, std::span<const LoadedImage> loaded) {
  std::vector<MappedImage> mapped;
  if (shape_ != nullptr) {
    if (auto found = read_mapped_images(kernel_, *shape_, process)) mapped = *std::move(found);
  }
  learn_drives(mapped, loaded);
  std::vector<Mapping> mappings;
  mappings.reserve(mapped.size());
  for (const MappedImage& image : mapped) {
    mappings.push_back(mapping_of(image.range, drive_of(image.device) + image.path));
  }
  if (!mapped.empty()) return mappings;
  const auto start = [](const Mapping& m) { return m.range.start; };
  for (const LoadedImage& image : loaded) {
    if (std::ranges::find(mappings, image.base, start) != mappings.end()) continue;
    mappings.push_back(mapping_of(range_of(image), image.path));
  }
  std::ranges::sort(mappings, {}, start);
  return mappings;
}

}  // namespace swat::os::windows
