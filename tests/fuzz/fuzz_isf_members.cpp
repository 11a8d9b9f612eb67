// A symbol table of Volatility 3, whose members of some names are asked for.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "daemon/isf_members.hpp"
#include "input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  constexpr std::string_view kWanted[] = {"_S.member", "_S.nested.member", "_N.member"};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto profile = daemon::read_isf_members(text, kWanted);
  if (profile) {
    fuzz::require(profile->offsets.size() <= std::size(kWanted));
  } else {
    const Errc code = profile.error().code;
    fuzz::require(code == Errc::kBadImage || code == Errc::kUnsupported);
  }
  return 0;
}
