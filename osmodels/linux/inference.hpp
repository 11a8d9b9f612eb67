// Structure offsets without BTF: inferred from what must hold in any live kernel's data.
//
// Starts at init_task (by symbol, else by its name "swapper" in the image) and widens: the list of
// all tasks, what every task must hold, the memory descriptors of those that have one, their VMAs,
// the files behind these, dentries, mounts. Each step accepts a candidate offset only if its
// invariant holds for every object at hand, or for most where the guest can break it at will.
// Assumes no randomised structure layout (CONFIG_RANDSTRUCT).
#pragma once

#include <optional>
#include <vector>

#include "osmodels/linux/blob.hpp"
#include "osmodels/linux/profile.hpp"
#include "osmodels/page_table.hpp"
#include "symbols/kernel_image.hpp"

namespace swat::os {

struct InferenceInput {
  PhysicalMemory& ram;
  AddressSpace& kernel;
  const PageGeometry& geometry;  // of user addresses
  bool maps_kernel;              // every process's page table maps the kernel's addresses, too
  symbols::KernelImage image;
  KernelLayout layout;
  Va entry;                     // kernel text that every address space maps
  std::optional<Va> init_task;  // where a symbol table has it
};

struct InferredProfile {
  LinuxProfile profile;
  Va init_task;
};

// kNotFound: some required invariant has no candidate.
[[nodiscard]] Result<InferredProfile> infer_profile(const InferenceInput& input);

// The steps, each in a file of its own; they fill the profile and hand objects on.
namespace inference {

struct Tasks {
  Va init_task;
  std::vector<Va> all;        // leaders, init_task first
  std::vector<Blob> samples;  // of some of them, up to comm's end; init_task first
};
[[nodiscard]] Result<Tasks> infer_tasks(const InferenceInput& input, LinuxProfile& profile);

struct Vma {
  Blob blob;
  VaRange range;
};
struct AddressSpaceSample {
  Blob mm;
  std::vector<Vma> vmas;
};
// Sets task_mm and all of mm_struct and vm_area_struct that needs no file.
[[nodiscard]] Result<std::vector<AddressSpaceSample>> infer_address_spaces(
    const InferenceInput& input, const Tasks& tasks, LinuxProfile& profile);

// Sets vma_file and neighbours, mm_vdso, file, dentry and mount.
[[nodiscard]] Result<> infer_files(const InferenceInput& input,
                                   const std::vector<AddressSpaceSample>& spaces,
                                   LinuxProfile& profile);

// The first offset in [from, to), by `step`, that `holds` accepts.
template <class Holds>
[[nodiscard]] MemberOffset first_offset(std::uint32_t from, std::uint32_t to, std::uint32_t step,
                                        const Holds& holds) {
  for (std::uint32_t offset = from; offset < to; offset += step) {
    if (holds(offset)) return offset;
  }
  return {};
}

}  // namespace inference
}  // namespace swat::os
