// ELF images in a user address space, found without any structure of the kernel's: by the headers
// in its present pages.
//
// An image shows when the pages with its header and its PT_DYNAMIC have been touched. A forked
// child does not touch them again: of it, an image is known by a page of its code that is at the
// same place in an address space where the header was seen. Pages of files are shared; what happens
// to be at the same virtual and at the same physical address is the same page of the same file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "osmodels/linux/link_map.hpp"
#include "osmodels/page_table.hpp"
#include "symbols/elf_layout.hpp"

namespace swat::os {

struct UserPage {
  Pa at;
  bool executable = false;
  friend bool operator==(const UserPage&, const UserPage&) = default;
};
using UserPages = std::map<Va, UserPage>;  // present ones, 4 KiB each

// At most so many; a leaf of more than 64 KiB counts as its first page. kBadImage: more than a
// guest this project knows would have.
[[nodiscard]] Result<UserPages> present_user_pages(AddressSpace& space, const VaRange& user);

struct MappedImage {
  Va base;  // of its file's offset 0
  VaRange extent;
  std::vector<symbols::ElfLayout::Load> loads;
  std::uint64_t identity = 0;  // of its file: made of what the header's page holds
  bool is_64_bit = true;
  bool is_program = false;  // not a library
  std::string soname;       // "": none
  std::string interpreter;  // "": none
  std::string loaded_as;    // the path of a library, where ld.so has told
  // Present pages of its code, and of what else nobody writes to: they are the file's own.
  UserPages evidence;

  [[nodiscard]] bool is_vdso() const {
    return soname.starts_with("linux-vdso.so") || soname.starts_with("linux-gate.so");
  }
  // That one of these is one of `pages`, too.
  [[nodiscard]] bool is_in(const UserPages& pages) const;
};
using ImageRef = std::shared_ptr<const MappedImage>;

// Of one address space, as it stood when last looked at.
class MappedImages {
 public:
  // Reads the pages that were not there the last time. `memory` is the address space that `pages`
  // are of, `others` are images of other ones.
  [[nodiscard]] Result<> look(PhysicalMemory& ram, VirtualMemory& memory, const UserPages& pages,
                              const std::vector<ImageRef>& others);

  // Ascending, not overlapping.
  [[nodiscard]] const std::vector<ImageRef>& all() const { return images_; }

 private:
  [[nodiscard]] Result<> find_headers(PhysicalMemory& ram, const UserPages& pages);
  [[nodiscard]] LinkMap link_map(VirtualMemory& memory) const;
  void keep_present(const UserPages& pages);
  void read_images(VirtualMemory& memory, const UserPages& pages);
  void adopt(const UserPages& pages, const std::vector<ImageRef>& others);
  [[nodiscard]] bool is_free(const VaRange& extent) const;
  void add(MappedImage image);

  UserPages seen_;            // pages whose first bytes have been read
  std::map<Va, Pa> headers_;  // that may become images
  std::vector<ImageRef> images_;
};

}  // namespace swat::os
