// What tracing knows of an image file, whatever its format: functions that others can call, and the
// slots through which it calls others.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "osmodels/model.hpp"
#include "symbols/memory.hpp"

namespace swat::daemon {

// Addresses are offsets from the image's load address, so that they hold in every process.
struct ImageExport {
  std::uint64_t offset;
  std::string name;
  std::string version;
  bool is_ifunc;           // offset is the resolver's, which nobody calls
  bool is_default = true;  // what a program that is linked today gets: name@@version
};

struct ImageSlot {
  std::uint64_t offset;
  std::string name;  // empty: leads nowhere, and is only between others
};

struct Image {
  unsigned word_bytes = 8;
  // A slot may lead to a function that its own module calls otherwise: by an ordinal, or through
  // another module's forwarder.
  bool imports_by_other_names = false;
  // What others can call; of a statically linked program its functions, if a file names them.
  std::vector<ImageExport> exports;  // ascending by offset
  std::vector<ImageSlot> slots;      // ascending by offset
  // Runs of slots without anything between them: [first, last] indexes into slots.
  std::vector<std::pair<std::size_t, std::size_t>> slot_runs;
};

// Fills `slot_runs` from what there is else.
void find_runs(Image& image);

// A format that guests map images in: one file, and one row of image_formats.cpp.
struct ImageFormat {
  std::string_view name;   // "ELF"
  std::string_view magic;  // the image's first bytes
  Result<Image> (*read)(VirtualMemory& memory, Va base);
  Result<bool> (*is_laid_out)(VirtualMemory& memory, const os::Module& module,
                              std::span<const os::Mapping> mappings);
};
extern const ImageFormat kElfImages;
extern const ImageFormat kPeImages;

// Uncached; the format is told by the magic at `base`. An image without dynamic linking has neither
// exports nor slots, and is no error. kBadImage: none of the formats; kFault: not (yet) paged in.
[[nodiscard]] Result<Image> read_image(VirtualMemory& memory, Va base);

// Whether each part of the module's image is mapped where its headers want it. Not so while it is
// being loaded: ld.so maps the file as a whole first, and its parts over that. Errors as above.
[[nodiscard]] Result<bool> is_laid_out(VirtualMemory& memory, const os::Module& module,
                                       std::span<const os::Mapping> mappings);

}  // namespace swat::daemon
