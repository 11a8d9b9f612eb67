// The model of Linux guests: found in a stopped guest without being told anything about it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "osmodels/linux/profile.hpp"
#include "osmodels/model.hpp"
#include "osmodels/profile_store.hpp"
#include "symbols/btf.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::os {

struct LinuxModelOptions {
  bool use_btf = true;            // off: infer all structure offsets
  bool use_symbols = true;        // off: as on a kernel without kallsyms and modules
  ProfileStore* store = nullptr;  // where profiles of earlier runs are; null: find all anew
};

// A model, and the profile it stands on.
struct AttachedLinux {
  std::unique_ptr<OsModel> model;
  LinuxProfile profile;
};

// kNotFound: no Linux here; kUnsupported: one that agrees with no profile (acceptance.hpp).
// `guest` outlives the model.
[[nodiscard]] Result<AttachedLinux> attach_linux(GuestView& guest,
                                                 const LinuxModelOptions& options = {});

// What is found out about a kernel's build, for other tools. Addresses are those of this boot.
struct KernelDescription {
  std::string banner;  // its first line, without the end of line
  symbols::SymbolTable symbols;
  Va init_task;
  LinuxProfile profile;
  std::string acceptance;           // how many invariants of the profile this guest agrees with
  std::optional<symbols::Btf> btf;  // where the kernel has it
};

// The same search, and the same errors.
[[nodiscard]] Result<KernelDescription> describe_linux(GuestView& guest,
                                                       const LinuxModelOptions& options = {});

}  // namespace swat::os
