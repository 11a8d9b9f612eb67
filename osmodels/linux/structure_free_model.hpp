// A Linux guest of whose kernel only the image, the ways into it and the page tables are known: for
// kernels whose structures cannot be made out.
//
// A process is a user address space. Its program's name is on its stack, its modules are the ELF
// images in its present pages, what becomes of it is told by system calls (space_lives.hpp). What
// is not told at all: numbers, parents, threads, the guest's clock, and, where all of RAM cannot be
// looked through for page tables, processes that have not run since swatd came.
#pragma once

#include <memory>
#include <string>

#include "osmodels/model.hpp"

namespace swat::os {

struct StructureFreeOptions {
  std::string why;             // the structures are not used, for whoever asks
  bool reads_all_ram = false;  // for the page tables of processes that do not run: once, now
};

// kNotFound: no Linux here. `guest` outlives the model.
[[nodiscard]] Result<std::unique_ptr<OsModel>> attach_structure_free_linux(
    GuestView& guest, const StructureFreeOptions& options);

}  // namespace swat::os
