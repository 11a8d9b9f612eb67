#include "daemon/ram_layout.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace swat::daemon {
namespace {

constexpr std::size_t kMaxBlocks = 256;

std::optional<std::uint64_t> take_hex(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{}) return {};
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::string_view take_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// RAM that belongs to a device, by the names that QEMU's devices give it.
bool is_device_memory(std::string_view region) {
  constexpr std::array<std::string_view, 6> kParts = {"vram",  "rom",  "bios",
                                                      "flash", "acpi", "tpm"};
  return std::any_of(kParts.begin(), kParts.end(),
                     [&](std::string_view part) { return region.find(part) != region.npos; });
}

// "0000000000100000-000000000fffffff (prio 0, ram): pc.ram @0000000000100000 KVM"
std::optional<RamBlock> parse_range(std::string_view line) {
  line = trimmed(line);
  const auto start = take_hex(line);
  if (!start || line.empty() || line.front() != '-') return {};
  line.remove_prefix(1);
  const auto last = take_hex(line);
  const auto type = line.find(", ram): ");
  if (!last || *last < *start || type == line.npos) return {};
  if (*last == ~std::uint64_t{0}) return {};  // the end would wrap
  line = line.substr(type + 8);
  const std::string_view region = trimmed(line.substr(0, line.find(" @")));
  if (is_device_memory(region)) return {};
  return RamBlock{{Pa{*start}, Pa{*last + 1}}, std::string(region)};
}

}  // namespace

Result<std::vector<RamBlock>> parse_mtree(std::string_view text) {
  std::vector<RamBlock> blocks;
  bool is_system = false;
  bool seen = false;
  while (!text.empty() && blocks.size() < kMaxBlocks) {
    const std::string_view line = take_line(text);
    if (line.starts_with("FlatView")) {
      if (seen) break;
      is_system = false;
    }
    if (line.find("AS \"memory\"") != line.npos) is_system = seen = true;
    if (!is_system) continue;
    if (auto block = parse_range(line)) blocks.push_back(*std::move(block));
  }
  if (blocks.empty()) return fail(Errc::kProtocol, "no RAM in the answer to info mtree -f");
  std::sort(blocks.begin(), blocks.end(),
            [](const RamBlock& a, const RamBlock& b) { return a.range.start < b.range.start; });
  const auto overlap = std::adjacent_find(
      blocks.begin(), blocks.end(),
      [](const RamBlock& a, const RamBlock& b) { return a.range.overlaps(b.range); });
  if (overlap != blocks.end()) return fail(Errc::kProtocol, "RAM in info mtree -f overlaps");
  return blocks;
}

Result<std::uint64_t> parse_gpa2hva(std::string_view text) {
  const auto at = text.rfind(" is 0x");
  if (!text.starts_with("Host virtual address") || at == text.npos) {
    return fail(Errc::kUnsupported, "gpa2hva says: " + std::string(trimmed(text)));
  }
  std::string_view number = text.substr(at + 6);
  const auto value = take_hex(number);
  if (!value) return fail(Errc::kProtocol, "gpa2hva gives no address");
  return *value;
}

Result<std::vector<RamBlock>> read_ram_layout(const Monitor& monitor) {
  auto blocks = SWAT_TRY(parse_mtree(SWAT_TRY(monitor("info mtree -f"))));
  for (RamBlock& block : blocks) {
    std::array<char, 32> command;
    const int n = std::snprintf(command.data(), command.size(), "gpa2hva 0x%llx",
                                static_cast<unsigned long long>(block.range.start.value));
    const auto text = SWAT_TRY(monitor({command.data(), static_cast<std::size_t>(n)}));
    // Not every build has the command; the stub back end does without.
    if (const auto host = parse_gpa2hva(text)) block.host_address = *host;
  }
  return blocks;
}

}  // namespace swat::daemon
