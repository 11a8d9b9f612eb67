// Images that are mapped in a process, by the kernel's own tree of its address ranges (VADs): those
// of either word size, from the moment they are mapped on, and also those that the process's list
// of loaded images hides.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "osmodels/windows/processes.hpp"

namespace swat::os::windows {

// Where builds from `first_build` on have what leads from a VAD to its file. [public symbols of 48
// builds; of 8.0 the tree's nodes are not told]
struct VadShape {
  unsigned word_bytes;
  std::uint32_t first_build;
  bool is_known;       // false: there are such builds, but not their shape
  std::uint16_t root;  // from EPROCESS.VadRoot to the pointer to the topmost node
  std::uint16_t left;  // of a node, which a VAD begins with
  std::uint16_t right;
  std::uint16_t first_page;  // StartingVpn
  std::uint16_t last_page;   // EndingVpn
  std::uint16_t first_high;  // bits from 32 on, one byte; 0: pages are whole words
  std::uint16_t last_high;
  std::uint16_t section;     // MMVAD.Subsection, or MMVAD.ControlArea
  bool has_subsections;      // a subsection leads to the control area
  std::uint16_t area_flags;  // CONTROL_AREA.u
  std::uint16_t area_file;   // CONTROL_AREA.FilePointer
  bool counts_references;    // in the low bits of that (EX_FAST_REF)
  std::uint16_t file_name;   // FILE_OBJECT.FileName
  std::uint16_t header_tag;  // from a block of pool back to its tag
};

// Null: there are none, or their shape is not known.
[[nodiscard]] const VadShape* find_vad_shape(std::uint32_t build, unsigned word_bytes);

struct MappedImage {
  VaRange range;
  Va device;         // of the file's volume
  std::string path;  // of the file on its volume: "\WINDOWS\system32\ntdll.dll"; UTF-8
};

// Ascending. What belongs to no file, or to one that is mapped as data, or is paged out on the way
// to the file's name, is left out. kBadImage: the tree has no end, or more than kMostPathBytes
// (loader_list.hpp); kFault: its root is paged out.
[[nodiscard]] Result<std::vector<MappedImage>> read_mapped_images(const KernelSpace& kernel,
                                                                  const VadShape& shape,
                                                                  Va process);

}  // namespace swat::os::windows
