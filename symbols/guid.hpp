// A GUID as symbol servers write it: 32 lower-case hex digits, no dashes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "symbols/hex.hpp"

namespace swat::symbols {

// A number that lies in memory with its lowest byte first, highest digit first.
[[nodiscard]] inline std::string number_to_hex(std::span<const std::byte> bytes) {
  std::string text;
  for (auto b = bytes.rbegin(); b != bytes.rend(); ++b) text += to_hex(std::span(&*b, 1));
  return text;
}

// Its first three parts are numbers of 4, 2 and 2 bytes.
[[nodiscard]] inline std::string guid_to_hex(std::span<const std::byte, 16> guid) {
  return number_to_hex(guid.subspan<0, 4>()) + number_to_hex(guid.subspan<4, 2>()) +
         number_to_hex(guid.subspan<6, 2>()) + to_hex(guid.subspan<8>());
}

}  // namespace swat::symbols
