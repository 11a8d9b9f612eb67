// What the arguments of Windows' system calls mean.
//
// Prototypes tell types and directions; what a type looks like is a row here. A pointer to a number
// is shown as [44], a structure as {Status=STATUS_SUCCESS, Information=12}, a handle with what it
// stands for: 0x44<Event \BaseNamedObjects\x>. What cannot be read is shown as its address.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "osmodels/syscall_decoder.hpp"

namespace swat::os::windows {

class SyscallArguments final : public SyscallDecoder {
 public:
  using MemoryOf = std::function<std::unique_ptr<VirtualMemory>(const Process& process)>;
  // "Event \BaseNamedObjects\x"; "": not known.
  using DescribeHandle = std::function<std::string(const Process& process, std::uint64_t handle)>;

  SyscallArguments(MemoryOf memory_of, DescribeHandle describe_handle);

  const Prototype* prototype(std::string_view name) override { return prototypes_.find(name); }
  std::size_t word_count(const Prototype& prototype, unsigned word_bytes) const override;
  std::vector<Argument> at_entry(const CallToDecode& call) override;
  std::vector<Argument> at_return(const CallToDecode& call, std::uint64_t result) override;
  std::uint64_t result_of(std::string_view type, std::uint64_t word) const override;
  std::string_view result_name(std::string_view type, std::uint64_t result) override;

 private:
  // Of the parameters that are wanted. `is_written`: the kernel has done so already.
  [[nodiscard]] std::vector<Argument> decode(
      const CallToDecode& call, bool is_written,
      const std::function<bool(const Parameter&)>& is_wanted) const;

  MemoryOf memory_of_;
  DescribeHandle describe_handle_;
  PrototypeTable prototypes_;
};

}  // namespace swat::os::windows
