// Finds an NT kernel below a stopped x86 guest: its image, by scanning back from code that the CPU
// itself names, and a page table that maps all of it.
//
// With kernel shadowing (KVAS, 10.0.17134 and updates of older builds) a vCPU in user mode has page
// tables that map little more than the entry code. The kernel's own root is then a word of the
// KPCR, which that entry code loads into CR3: it is read as the code itself does.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "osmodels/guest.hpp"
#include "osmodels/page_table.hpp"
#include "symbols/pe_image.hpp"

namespace swat::os::windows {

struct LocatedKernel {
  const PageGeometry* geometry = nullptr;
  Pa root;  // maps the kernel; may be a process's
  symbols::PeImage image;
  std::unordered_map<std::string, Va> exports;  // that lie in it
  std::string found_by;                         // "IDT gate 0"

  [[nodiscard]] unsigned word_bytes() const { return image.is_64_bit() ? 8 : 4; }
  [[nodiscard]] std::optional<Va> find(std::string_view name) const {
    const auto found = exports.find(std::string(name));
    return found == exports.end() ? std::nullopt : std::optional(found->second);
  }
};

// kNotFound: no NT kernel is mapped there, which a few reads tell of other guests; kFault: its
// headers or exports are not paged in now.
[[nodiscard]] Result<LocatedKernel> locate_kernel(GuestView& guest);

// The kernel's view of KUSER_SHARED_DATA, at the same place since 5.0.
[[nodiscard]] Va shared_user_data(unsigned word_bytes);

// The root of page tables that CR3 names, without its flags and PCID. PAE's roots have 32 bytes,
// and several processes' may share a page.
[[nodiscard]] Pa root_of(const PageGeometry& geometry, std::uint64_t cr3);

// The KPCR of a vCPU in the address space `kernel`: what GS is in the kernel, or what its GDT says
// of the selector that FS is then. kNotFound: none that points to itself as a KPCR does.
[[nodiscard]] Result<Va> find_kpcr(GuestView& guest, unsigned vcpu, VirtualMemory& kernel,
                                   unsigned word_bytes);

}  // namespace swat::os::windows
