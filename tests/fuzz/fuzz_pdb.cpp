// A whole PDB, whose members of some names are asked for.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "input.hpp"
#include "symbols/pdb_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  constexpr std::string_view kWanted[] = {"_S.member", "_S.nested.member", "_S.nested.nested.x",
                                          "_N.member", "_U.last"};
  const auto file = std::as_bytes(std::span(data, size));
  const auto profile = symbols::read_pdb(file, kWanted);
  if (profile) {
    fuzz::require(profile->id.guid.size() == 32);
    fuzz::require(profile->offsets.size() <= std::size(kWanted));
  } else {
    const Errc code = profile.error().code;
    fuzz::require(code == Errc::kBadImage || code == Errc::kNotFound || code == Errc::kUnsupported);
  }
  return 0;
}
