// The invariants of address spaces, their mappings and files, for acceptance.hpp.
#pragma once

#include <vector>

#include "osmodels/linux/dentry_chain.hpp"
#include "osmodels/linux/judged_tasks.hpp"
#include "osmodels/linux/present_pages.hpp"

namespace swat::os {

class JudgedSpaces {
 public:
  // All outlive it.
  JudgedSpaces(const AcceptanceInput& input, const LinuxProfile& profile, const JudgedTasks& tasks)
      : input_(input),
        profile_(profile),
        layout_(profile.layout),
        word_(layout_.word_bytes),
        tasks_(tasks) {}

  // In this order: each stands on what those before have read.

  // Ranges of user space, ascending, apart, of the mm that leads to them. The idle task has none,
  // and init has: before it is started nothing can be told.
  [[nodiscard]] Tally mappings();
  // Each maps the kernel as the known one does, and pages of its own mappings.
  [[nodiscard]] Tally page_tables();
  // Pages that are present have the rights of their mapping.
  [[nodiscard]] Tally rights() const;
  // A name of the length that is beside it, and parents up to the root "/"; of a file in no
  // directory (a memfd) only the name.
  [[nodiscard]] Tally files();
  // Of two mappings of a file the one further up holds what is as far behind, or less: an image's
  // parts may have gaps between them in memory that the file has not.
  [[nodiscard]] Tally file_offsets() const;
  // The mount of every file hangs below one that is its own parent, and the file below its root.
  [[nodiscard]] Tally mounts() const;
  // The heap ends behind its start, and the stack starts within a mapping.
  [[nodiscard]] Tally heap_and_stack() const;

 private:
  struct OpenFile {
    Va at;
    Va dentry;
  };

  [[nodiscard]] Result<std::uint64_t> word_at(Va at) const;
  [[nodiscard]] Result<Va> pointer_at(Va at) const;
  [[nodiscard]] std::vector<Va> vma_addresses(Va mm) const;
  [[nodiscard]] std::vector<inference::Vma> vmas_of(Va mm) const;
  [[nodiscard]] bool leads_to_top(Va mnt, const DentryChain& chain) const;

  const AcceptanceInput& input_;
  const LinuxProfile& profile_;
  const KernelLayout& layout_;
  std::uint32_t word_;
  const JudgedTasks& tasks_;
  std::vector<inference::AddressSpaceSample> spaces_;
  std::vector<inference::PresentPage> pages_;
  std::vector<OpenFile> files_;
};

}  // namespace swat::os
