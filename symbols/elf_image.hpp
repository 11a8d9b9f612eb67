// An ELF image as it lies in a guest's memory: mapped, relocated, possibly hostile, partly absent.
//
// LIEF reads files (and is what tests compare this with); it cannot read a mapped image, whose
// DT_* pointers ld.so has relocated in place. Everything here is found from the program headers and
// PT_DYNAMIC; section headers are not mapped. [System V gABI, chapters 4 and 5]
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "symbols/elf_layout.hpp"
#include "symbols/memory.hpp"

namespace swat::symbols {

// A defined dynamic symbol that can be called, with code inside its own image.
struct ElfExport {
  Va address;  // run-time address; for an IFUNC, of its resolver
  std::uint64_t size_bytes;
  std::string name;
  std::string version;  // "GLIBC_2.2.5", empty when unversioned
  bool is_ifunc;
  bool is_default;  // name@@version rather than name@version

  friend bool operator==(const ElfExport&, const ElfExport&) = default;
};

// One word that PLT stubs or call *slot go through.
struct ImportSlot {
  Va slot;
  std::string name;  // an IRELATIVE slot has the name of the IFUNC whose resolver it names, or ""
  // Of the JUMP_SLOT within DT_JMPREL: what a lazy PLT stub pushes (i386: times the entry's size).
  std::optional<std::uint32_t> index = {};

  friend bool operator==(const ImportSlot&, const ImportSlot&) = default;
};

// Where a dynamic symbol is, be it code or data.
struct ElfPlace {
  Va address;
  std::uint64_t size_bytes;
};

class ElfImage {
 public:
  using Limits = ElfLimits;

  // Reads the headers at `base`: where the file's offset 0 is mapped, the lower place if a small
  // data segment maps that page once more. kBadImage: not an ELF image of a little-endian machine;
  // kFault: not (yet) paged in. `memory` is needed only during calls.
  [[nodiscard]] static Result<ElfImage> open(VirtualMemory& memory, Va base, Limits limits);
  [[nodiscard]] static Result<ElfImage> open(VirtualMemory& memory, Va base) {
    return open(memory, base, Limits{});
  }

  [[nodiscard]] bool is_64_bit() const { return layout_.is_64_bit; }
  [[nodiscard]] std::uint16_t machine() const { return layout_.machine; }  // EM_*
  [[nodiscard]] bool has_dynamic() const { return layout_.dynamic.has_value(); }
  // Run-time minus link-time address, modulo the size of the image's address space.
  [[nodiscard]] std::uint64_t load_bias() const { return layout_.load_bias; }
  // Run-time e_entry; on ARM bit 0 says Thumb.
  [[nodiscard]] std::uint64_t entry() const { return layout_.entry.value; }
  [[nodiscard]] VaRange extent() const { return layout_.extent; }  // all PT_LOAD, page aligned
  [[nodiscard]] std::optional<VaRange> dynamic() const { return layout_.dynamic; }
  [[nodiscard]] const ElfLayout& layout() const { return layout_; }

  // Functions that other modules can call: STT_FUNC, STT_GNU_IFUNC and, with code behind them,
  // STT_NOTYPE; defined, global, weak or unique. Count from DT_GNU_HASH, else DT_HASH, else the
  // bound given by DT_STRTAB. kFault: some of it is paged out; ask again later.
  [[nodiscard]] Result<std::vector<ElfExport>> exports(VirtualMemory& memory) const;
  // The first defined dynamic symbol of that name, of any type and version, inside the image.
  // kNotFound: there is none.
  [[nodiscard]] Result<ElfPlace> find(VirtualMemory& memory, std::string_view name) const;
  // JUMP_SLOT slots, GLOB_DAT slots of functions, IRELATIVE slots; ascending by address.
  // GLOB_DAT slots of objects are left out, and those of strong untyped symbols that have no
  // JUMP_SLOT too: a plug-in imports functions and objects alike that way. kUnsupported: a machine
  // without a row in elf_machine.hpp.
  [[nodiscard]] Result<std::vector<ImportSlot>> import_slots(VirtualMemory& memory) const;
  [[nodiscard]] Result<std::string> soname(VirtualMemory& memory) const;
  // What ld.so has written into the program's DT_DEBUG: where its struct r_debug is. kNotFound:
  // there is no DT_DEBUG.
  [[nodiscard]] Result<Va> debug(VirtualMemory& memory) const;
  // kBadImage: PT_DYNAMIC is not where the program headers say, as in a file that is mapped in one
  // piece, to be looked at.
  [[nodiscard]] Result<> check_dynamic(VirtualMemory& memory) const;
  // The path in PT_INTERP, which programs have, and some libraries that can be run. kNotFound:
  // none.
  [[nodiscard]] Result<std::string> interpreter(VirtualMemory& memory) const;
  // NT_GNU_BUILD_ID in lower-case hex; kNotFound when there is none.
  [[nodiscard]] Result<std::string> build_id(VirtualMemory& memory) const;

 private:
  explicit ElfImage(ElfLayout layout) : layout_(std::move(layout)) {}

  ElfLayout layout_;
};

}  // namespace swat::symbols
