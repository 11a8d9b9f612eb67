// From a handle of a process to the kernel's object.
//
// EPROCESS.ObjectTable points to a HANDLE_TABLE. Its TableCode points to a page of entries, or, as
// its two low bits tell, to a page of pointers to such pages, or to one more level of these. A
// handle's number is four times that of its entry. [public symbols; HANDLE_TABLE since 5.1]
#pragma once

#include <cstdint>
#include <span>

#include "osmodels/windows/processes.hpp"

namespace swat::os::windows {

// How an entry has the address of the object's header.
enum class HandleEntry : std::uint8_t {
  kPointer,  // the low three bits are flags
  kShifted,  // 8.0 x64: in the bits from 19 on
  kPacked,   // x64 since 8.1: bits 4 to 47 of it, from bit 20 on
};

struct HandleTableShape {
  unsigned word_bytes;
  std::uint32_t first_build;
  std::uint16_t code;           // HANDLE_TABLE.TableCode
  std::uint16_t quota_process;  // QuotaProcess: whose table it is
  std::uint16_t pid;            // UniqueProcessId: of that process
  HandleEntry entry;
};

// Null: older than 5.1.
[[nodiscard]] const HandleTableShape* find_handle_table_shape(std::uint32_t build,
                                                              unsigned word_bytes);

class HandleTable {
 public:
  // `kernel` outlives this. `table_at`: EPROCESS.ObjectTable, bytes.
  HandleTable(const KernelSpace& kernel, const HandleTableShape& shape, std::uint32_t table_at)
      : kernel_(kernel), shape_(shape), table_at_(table_at) {}

  // Where EPROCESS.ObjectTable is: the one word of the first of these processes that have a table
  // which leads to one that says that it is theirs. Updates move it inside a build. kNotFound: no
  // word, or several.
  [[nodiscard]] static Result<std::uint32_t> find_table(const KernelSpace& kernel,
                                                        const HandleTableShape& shape,
                                                        std::span<const ProcessEntry> processes);

  // The header of the object that the handle of the EPROCESS at `process` stands for. kNotFound:
  // there is no such handle.
  [[nodiscard]] Result<Va> header_of(Va process, std::uint64_t handle) const;

 private:
  [[nodiscard]] Result<Va> entry_of(std::uint64_t code, std::uint64_t index) const;

  const KernelSpace& kernel_;
  const HandleTableShape& shape_;
  std::uint32_t table_at_;
};

}  // namespace swat::os::windows
