// A profile as the text that is kept between runs, by kernel build (profile_store.hpp).
//
// Addresses are offsets from the image's base, as KASLR moves all of it. Symbols are not kept: they
// are read from the guest each time. Text of another build, or with an error in it, is refused;
// what it says is then judged by the guest (acceptance.hpp) like any other profile.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "osmodels/linux/guest_clock.hpp"
#include "osmodels/linux/profile.hpp"

namespace swat::os {

struct CachedProfile {
  LinuxProfile profile;
  std::uint64_t init_task = 0;       // bytes from the image's base
  std::optional<ClockLayout> clock;  // its `timekeeper` likewise
};

// Of the kernel that this banner is of: its build id where it tells one, else the banner's hash.
[[nodiscard]] std::string profile_key(std::string_view banner,
                                      std::optional<std::string_view> build_id);

[[nodiscard]] std::string to_text(const CachedProfile& cached, std::string_view banner);
// kBadImage: not such a text, cut off or changed; kNotFound: of another kernel.
[[nodiscard]] Result<CachedProfile> parse_cached_profile(std::string_view text,
                                                         std::string_view banner,
                                                         const KernelLayout& layout);

}  // namespace swat::os
