// The user address spaces that vCPUs were seen in, and what their present pages tell of each: which
// program runs there, and which ELF images are mapped.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "osmodels/linux/kernel_layout.hpp"
#include "osmodels/linux/mapped_images.hpp"
#include "osmodels/linux/space_lives.hpp"
#include "osmodels/linux/user_roots.hpp"
#include "osmodels/model.hpp"

namespace swat::os {

struct UserSpace {
  Pa root;
  SpaceId id{};
  std::string program;  // the path that execve was given; "": not known
  MappedImages images;
  // The entry of the topmost table that the stack is below: another one is another address space's.
  Pa witness;
  std::uint64_t witnessed = 0;
  Process process;

  [[nodiscard]] bool is_of(const Process& other) const {
    return process.memory_object == other.memory_object;
  }
};

class UserSpaces {
 public:
  // All outlive this.
  UserSpaces(GuestView& guest, const LocatedKernel& kernel);

  // The one that the vCPU is in. kNotFound: none, or one that shows nothing of a process.
  [[nodiscard]] Result<UserSpace*> of(unsigned vcpu);
  // The process makes a system call on the vCPU. The guest stands still.
  void enter(const Process& process, unsigned vcpu, std::string_view call,
             std::span<const std::optional<std::uint64_t>> arguments);
  // Looks at the pages of a process's space anew. kNotFound: it is gone.
  [[nodiscard]] Result<const UserSpace*> look(const Process& process);
  // Gets to know those of these roots that map user pages.
  [[nodiscard]] Result<> meet(const std::vector<Pa>& roots);
  // Those that are still there, of processes that have not exited.
  [[nodiscard]] std::vector<const UserSpace*> alive();
  [[nodiscard]] std::unique_ptr<VirtualMemory> memory(Pa root);

 private:
  [[nodiscard]] bool is_there(const UserSpace& space);
  [[nodiscard]] bool is_exiting(const UserSpace& space, unsigned vcpu) const;
  [[nodiscard]] Result<UserSpace*> begin(Pa root);
  [[nodiscard]] Result<> look_at(UserSpace& space);
  [[nodiscard]] Result<> take_witness(UserSpace& space, Va stack);
  void describe(UserSpace& space) const;
  [[nodiscard]] UserSpace* find(const Process& process);
  [[nodiscard]] std::vector<ImageRef> images_of_others(const UserSpace& space) const;
  void drop_gone();

  GuestView& guest_;
  const PageGeometry& geometry_;
  KernelLayout layout_;
  UserRoots roots_;
  SpaceLives lives_;
  std::unordered_map<Pa, std::unique_ptr<UserSpace>> spaces_;  // by root
  std::uint64_t ids_ = 0;
  std::vector<Pa> exited_from_;  // by vCPU: the space that it has exited from, and not left since
};

}  // namespace swat::os
