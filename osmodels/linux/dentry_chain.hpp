// Dentries as the links of a tree: what must hold of them when the profile has their members right.
// [include/linux/dcache.h of Linux]
#pragma once

#include <string>

#include "osmodels/linux/profile.hpp"
#include "symbols/memory.hpp"

namespace swat::os {

class DentryChain {
 public:
  // Both outlive it; the profile knows dentry_parent and dentry_name.
  DentryChain(VirtualMemory& kernel, const LinuxProfile& profile)
      : kernel_(kernel), profile_(profile) {}

  // The dentry further up that is its own parent; itself, when it is. kBadImage: there is none
  // within reason.
  [[nodiscard]] Result<Va> root_of(Va dentry) const;
  // Whether `above` is `dentry` or on its way to the root.
  [[nodiscard]] bool passes(Va dentry, Va above) const;
  [[nodiscard]] Result<std::string> name_of(Va dentry) const;
  // d_name: the name's length is beside the pointer to it, and it has no control characters.
  [[nodiscard]] bool has_name(Va dentry) const;

 private:
  [[nodiscard]] Result<Va> parent(Va dentry) const;

  VirtualMemory& kernel_;
  const LinuxProfile& profile_;
};

}  // namespace swat::os
