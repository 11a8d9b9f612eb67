// What the arguments and the result of a system call mean, beyond the words that were passed: which
// file a handle stands for, what a structure says. Read from the guest's memory at the call, and
// once more at its return for what the kernel has written.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "osmodels/model.hpp"
#include "osmodels/prototype.hpp"

namespace swat::os {

struct Argument {
  Parameter parameter;
  std::optional<std::uint64_t> word;  // that was passed; none: it could not be read
  // As a tracer prints it: "0x44<Event AlphaEvent>", "FILE_SHARE_READ", "\"C:\\boot.ini\"".
  std::string text;
};

// A call whose caller's memory stands still.
struct CallToDecode {
  const Process& caller;
  unsigned word_bytes;  // of the caller's arguments
  const Prototype& prototype;
  std::span<const std::optional<std::uint64_t>> words;  // as they were passed; none: not read
};

class SyscallDecoder {
 public:
  virtual ~SyscallDecoder() = default;
  // Null: what that call takes is not known. Lives as long as this.
  [[nodiscard]] virtual const Prototype* prototype(std::string_view name) = 0;
  // How many words its callers pass, of so many bytes each: on 32 bits some parameters take two.
  [[nodiscard]] virtual std::size_t word_count(const Prototype& prototype,
                                               unsigned word_bytes) const = 0;
  // Every parameter, at the call. What the kernel is going to write is an address yet.
  [[nodiscard]] virtual std::vector<Argument> at_entry(const CallToDecode& call) = 0;
  // Those that the kernel has written, at the return.
  [[nodiscard]] virtual std::vector<Argument> at_return(const CallToDecode& call,
                                                        std::uint64_t result) = 0;
  // What of the result register is of a result of that type.
  [[nodiscard]] virtual std::uint64_t result_of(std::string_view type,
                                                std::uint64_t word) const = 0;
  // What a result of that type is called: "STATUS_ACCESS_DENIED"; "": it has no name.
  [[nodiscard]] virtual std::string_view result_name(std::string_view type,
                                                     std::uint64_t result) = 0;
};

}  // namespace swat::os
