// The model of Linux guests: found in a stopped guest without being told anything about it.
#pragma once

#include <memory>

#include "osmodels/linux/profile.hpp"
#include "osmodels/model.hpp"

namespace swat::os {

struct LinuxModelOptions {
  bool use_btf = true;      // off: infer all structure offsets
  bool use_symbols = true;  // off: as on a kernel without kallsyms and modules
};

// A model, and the profile it stands on.
struct AttachedLinux {
  std::unique_ptr<OsModel> model;
  LinuxProfile profile;
};

// kNotFound: no Linux here. `guest` outlives the model.
[[nodiscard]] Result<AttachedLinux> attach_linux(GuestView& guest,
                                                 const LinuxModelOptions& options = {});

}  // namespace swat::os
