// The invariants of tasks, for acceptance.hpp: what a profile says of them, and what is there.
#pragma once

#include <vector>

#include "osmodels/linux/blob.hpp"
#include "osmodels/linux/tally.hpp"

namespace swat::os {

class JudgedTasks {
 public:
  // Both outlive it.
  JudgedTasks(const AcceptanceInput& input, const LinuxProfile& profile)
      : input_(input), profile_(profile) {}

  // The list leads back to where it began, and back links are the links' reverse. To be asked
  // first: the others stand on what it has read, and are not to be asked when it is broken.
  [[nodiscard]] Tally list();
  // Only the first is called swapper; names are text, though programs choose theirs.
  [[nodiscard]] Tally names() const;
  // 0, then 1, then others that are all different; the thread group's is the same, but for 2.4,
  // where many kernel threads are of the idle task's group.
  [[nodiscard]] Tally ids() const;
  // Parents are tasks of the list, nearly always; each is its group's leader; init's is the idle
  // task, which is its own.
  [[nodiscard]] Tally relations() const;
  // Every task has one of its own: whole pages, and no other task's.
  [[nodiscard]] Tally kernel_stacks() const;

  // Some of the tasks, init_task first, init next.
  [[nodiscard]] const std::vector<Blob>& samples() const { return samples_; }

 private:
  [[nodiscard]] Result<std::uint64_t> word_at(Va at) const {
    return read_word(input_.kernel, at, profile_.layout);
  }
  void take_samples();

  const AcceptanceInput& input_;
  const LinuxProfile& profile_;
  std::vector<Va> tasks_;
  bool all_known_ = false;
  std::vector<Blob> samples_;
};

}  // namespace swat::os
