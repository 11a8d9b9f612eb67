// Code of a known beginning, where nothing tells its address.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::os::windows {

// Where `bytes`, of which there are 16 at most, begin within `range`: the first `most` places,
// ascending. Pages that are absent have none.
[[nodiscard]] std::vector<Va> find_code(VirtualMemory& memory, const VaRange& range,
                                        std::span<const std::uint8_t> bytes, std::size_t most);

}  // namespace swat::os::windows
