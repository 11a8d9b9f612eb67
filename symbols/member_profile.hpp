// Where the structures of one build of a kernel have their members, as a file tells it that the
// user has: debug information, or a symbol table of another tool.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "symbols/pe_image.hpp"

namespace swat::symbols {

struct MemberProfile {
  std::string path;           // of the file
  PeDebugId id;               // of the image that it is of
  std::uint16_t machine = 0;  // likewise (pe_image.hpp)
  // Bytes from the structure's start, by "_KPCR.Prcb.CurrentThread": a structure, a member, and
  // members in that one. Those of the names asked for that the file has.
  std::map<std::string, std::uint32_t, std::less<>> offsets;
};

// What is asked for: names as above.
using MemberNames = std::span<const std::string_view>;

}  // namespace swat::symbols
