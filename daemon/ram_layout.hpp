// Where guest RAM is: `info mtree -f` (which guest physical ranges are RAM) and `gpa2hva` (where
// QEMU keeps them). [HMP; text formats of QEMU 7.2 and 11.1 in tests/daemon]
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "symbols/address.hpp"
#include "symbols/result.hpp"

namespace swat::daemon {

struct RamBlock {
  PaRange range;
  std::string region;              // "pc.ram"
  std::uint64_t host_address = 0;  // in QEMU's address space; 0: not asked
};

using Monitor = std::function<Result<std::string>(std::string_view)>;

// RAM ranges in the flat view of the CPUs' address space, ascending. Memory of devices (video RAM,
// option ROMs, flash) is left out. kProtocol when the text is not what `info mtree -f` prints.
[[nodiscard]] Result<std::vector<RamBlock>> parse_mtree(std::string_view text);
// "Host virtual address for 0x0 (pc.ram) is 0x7f..."
[[nodiscard]] Result<std::uint64_t> parse_gpa2hva(std::string_view text);
// Both, through an HMP monitor.
[[nodiscard]] Result<std::vector<RamBlock>> read_ram_layout(const Monitor& monitor);

}  // namespace swat::daemon
