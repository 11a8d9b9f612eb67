// What the kernel's objects are: of which type, and called what.
//
// An object lies behind its OBJECT_HEADER, and what is optional in front of that: its name, and in
// which directory it is. Until 6.0 the header points to the object's OBJECT_TYPE; since 6.1 it has
// the type's number, which since 10.0 is disguised with a cookie of the kernel's and with the
// header's address. [public symbols; ObGetObjectType]
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "osmodels/windows/processes.hpp"

namespace swat::os::windows {

struct ObjectShape {
  unsigned word_bytes;
  std::uint32_t first_build;
  std::uint16_t type_pointer;  // OBJECT_HEADER.Type; 0: there is a number instead
  std::uint16_t type_number;   // OBJECT_HEADER.TypeIndex, a byte
  bool is_disguised;
  std::uint16_t name_distance;   // OBJECT_HEADER.NameInfoOffset, a byte; 0: there is a mask instead
  std::uint16_t parts_mask;      // OBJECT_HEADER.InfoMask, a byte
  std::uint16_t name_of_type;    // OBJECT_TYPE.Name
  std::uint16_t number_of_type;  // OBJECT_TYPE.Index
  std::uint16_t file_name;       // FILE_OBJECT.FileName
};

// Null: it is not known.
[[nodiscard]] const ObjectShape* find_object_shape(std::uint32_t build, unsigned word_bytes);

// From an object's header to the object.
[[nodiscard]] constexpr std::uint64_t object_header_bytes(unsigned word_bytes) {
  return word_bytes == 8 ? 0x30 : 0x18;
}

class KernelObjects {
 public:
  using FindExport = std::function<std::optional<Va>(std::string_view name)>;
  // What a volume is called ("C:"), by its device; "": that is not known.
  using DriveOf = std::function<std::string(Va device)>;

  // All outlives this. `system`: the System process's EPROCESS.
  KernelObjects(const KernelSpace& kernel, const ObjectShape& shape, const FindExport& find_export,
                Va system, DriveOf drive_of);

  struct Description {
    std::string type;  // "Event"; "": of none that the kernel exports
    std::string name;  // "\BaseNamedObjects\x", "C:\boot.ini", "alpha.exe/500"; "": it has none
  };
  static constexpr std::size_t kMostBytes = 4096;  // of a type, and of a name

  // kFault: some of it is paged out; kBadImage: a name longer than that, or of something else.
  [[nodiscard]] Result<Description> describe(Va header);

 private:
  [[nodiscard]] Result<std::uint8_t> number_of(Va header) const;
  [[nodiscard]] Result<std::string> type_of(Va header) const;
  [[nodiscard]] Result<std::string> path_of(Va header) const;
  [[nodiscard]] Result<std::string> file_name(Va body) const;
  [[nodiscard]] Result<std::string> process_name(Va body) const;
  [[nodiscard]] Result<std::string> thread_name(Va body) const;
  [[nodiscard]] Result<Va> name_info(Va header) const;  // null: it has none

  const KernelSpace& kernel_;
  const ObjectShape& shape_;
  DriveOf drive_of_;
  std::uint8_t cookie_ = 0;
  std::unordered_map<std::uint8_t, std::string> types_;  // by their number
};

}  // namespace swat::os::windows
