// How kernel code goes from a number to a function: it loads a word of a table by index, or it
// compares the number until one place is left (a `switch` without a jump table).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::os::x86 {

class Instruction;

// mov table(,%reg,8),%reg or call *table(,%reg,8); by 4 in 32-bit code.
struct TableLoad {
  Va table;
  Va next;  // behind the instruction
  // Register that holds the word then, by its widest name; "": the instruction went there.
  std::string_view target;
  // Where the block that the instruction is in leads, the register still holding the word; null:
  // not known. There QEMU may stop late (entry_path.hpp).
  Va late;
  // So many words the table has, by the comparison of the index before the load; none: not known.
  std::optional<std::uint32_t> limit = {};
};

// All of them in `code`, which is of 32 or 64 `bits`, read from its start on as one instruction
// after the other; what is none is skipped bytewise. Code that cannot be read has none.
[[nodiscard]] std::vector<TableLoad> find_table_loads(VirtualMemory& memory, const VaRange& code,
                                                      unsigned bits);

// A function that does nothing but compare its second argument, a number of 32 bits, with
// constants, and go on to other functions. 32-bit kernels pass it in edx. [gcc, -mregparm=3]
class CompareTree {
 public:
  // kFault: not readable.
  [[nodiscard]] static Result<CompareTree> read(VirtualMemory& memory, const VaRange& function,
                                                unsigned bits);
  // The function that `number` leads to. kUnsupported: an instruction other than expected, or no
  // end.
  [[nodiscard]] Result<Va> leads_to(std::uint32_t number) const;

 private:
  enum class Act { kNothing, kCompare, kBranch, kGo, kCall, kUnknown };
  struct Step {
    Act act = Act::kUnknown;
    unsigned condition = 0;      // kBranch: Capstone's instruction id
    std::uint32_t constant = 0;  // kCompare
    Va target;                   // kBranch, kGo, kCall
    Va next;
  };
  [[nodiscard]] static Step step_of(const Instruction& insn, unsigned bits);
  // Where the number goes from `step`; `constant`: what it was compared with last.
  [[nodiscard]] static Result<Va> follow(const Step& step, std::uint32_t number,
                                         std::optional<std::uint32_t>& constant);

  VaRange function_;
  std::unordered_map<Va, Step> steps_;
};

}  // namespace swat::os::x86
