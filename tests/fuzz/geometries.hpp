// Every geometry of page tables that there is: a byte of the input picks one.
#pragma once

#include <string_view>

#include "input.hpp"
#include "osmodels/page_table.hpp"

namespace swat::fuzz {

inline constexpr std::string_view kGeometries[] = {"x86_64-4level",
                                                   "x86_64-5level",
                                                   "x86_64-3level",
                                                   "i386",
                                                   "i386-pae",
                                                   "arm-lpae",
                                                   "arm-v5",
                                                   "arm-v6",
                                                   "arm-v6-31bit",
                                                   "arm-v6-30bit",
                                                   "arm-v6-29bit",
                                                   "arm-v6-28bit",
                                                   "arm-v6-27bit",
                                                   "arm-v6-26bit",
                                                   "arm-v6-25bit",
                                                   "aarch64-4k-39-user",
                                                   "aarch64-4k-48-user",
                                                   "aarch64-16k-36-user",
                                                   "aarch64-16k-47-user",
                                                   "aarch64-16k-48-user",
                                                   "aarch64-64k-42-user",
                                                   "aarch64-64k-48-user",
                                                   "aarch64-4k-39-kernel",
                                                   "aarch64-4k-48-kernel",
                                                   "aarch64-16k-36-kernel",
                                                   "aarch64-16k-47-kernel",
                                                   "aarch64-16k-48-kernel",
                                                   "aarch64-64k-42-kernel",
                                                   "aarch64-64k-48-kernel"};

inline const os::PageGeometry& geometry_of(std::uint8_t number) {
  const auto* found = os::find_geometry(kGeometries[number % std::size(kGeometries)]);
  require(found != nullptr);
  return *found;
}

}  // namespace swat::fuzz
