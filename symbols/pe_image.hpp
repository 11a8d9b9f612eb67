// A PE image as it lies in a guest's memory: mapped, bound, possibly hostile, partly absent.
//
// LIEF reads files (and is what tests compare this with). In memory every table is found by its
// RVA, bytes from the image's base, and the import address table holds addresses where the file has
// names. [Microsoft, "PE Format"]
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "symbols/memory.hpp"
#include "symbols/pe_layout.hpp"

namespace swat::symbols {

// One entry of the export address table under one of its names.
struct PeExport {
  std::uint32_t ordinal;
  Va address;             // null: of a forwarder
  std::string name;       // empty: by its ordinal alone
  std::string forwarder;  // "NTDLL.RtlAllocateHeap", "other.#12"; empty: it is here
  bool is_code;           // in an executable section. A linker may put data there, too

  [[nodiscard]] bool is_forwarder() const { return !forwarder.empty(); }
  friend bool operator==(const PeExport&, const PeExport&) = default;
};

// One word of an import address table, that call *slot goes through.
struct PeImport {
  Va slot;
  std::string library;  // "KERNEL32.dll", as the image has it
  std::string name;     // empty: by its ordinal, or the linker has left no names in memory
  std::optional<std::uint16_t> ordinal = {};
  bool is_delayed = false;  // leads to a stub in the image until it is first called

  friend bool operator==(const PeImport&, const PeImport&) = default;
};

// What a symbol server calls the image's debug information.
struct PeDebugId {
  std::string guid;  // 32 lower-case hex digits; 8 of an NB10, which has a time stamp instead
  std::uint32_t age = 0;
  std::string file;  // "ntkrnlmp.pdb", perhaps with the path it was built at

  friend bool operator==(const PeDebugId&, const PeDebugId&) = default;
};

class PeImage {
 public:
  // Reads the headers at `base`. kBadImage: no PE image; kFault: not (yet) paged in. `memory` is
  // needed only during calls.
  [[nodiscard]] static Result<PeImage> open(VirtualMemory& memory, Va base, PeLimits limits);
  [[nodiscard]] static Result<PeImage> open(VirtualMemory& memory, Va base) {
    return open(memory, base, PeLimits{});
  }

  [[nodiscard]] bool is_64_bit() const { return layout_.is_64_bit; }  // PE32+
  [[nodiscard]] std::uint16_t machine() const { return layout_.machine; }
  [[nodiscard]] std::uint32_t time_stamp() const { return layout_.time_stamp; }
  [[nodiscard]] Va entry() const { return layout_.entry; }
  [[nodiscard]] VaRange extent() const { return layout_.extent; }
  [[nodiscard]] const PeLayout& layout() const { return layout_; }

  // Functions, data and forwarders, by ordinal; of several names of one, by name. kFault: some of
  // it is paged out; ask again later.
  [[nodiscard]] Result<std::vector<PeExport>> exports(VirtualMemory& memory) const;
  // What the image calls itself in its export directory. kNotFound: it exports nothing.
  [[nodiscard]] Result<std::string> export_name(VirtualMemory& memory) const;
  // Slots of imports and of delayed imports, ascending by address.
  [[nodiscard]] Result<std::vector<PeImport>> imports(VirtualMemory& memory) const;
  // From the debug directory: RSDS, or NB10 of linkers before 7.0. kNotFound: it has none.
  [[nodiscard]] Result<PeDebugId> debug_id(VirtualMemory& memory) const;

 private:
  explicit PeImage(PeLayout layout) : layout_(std::move(layout)) {}

  PeLayout layout_;
};

// The machines that Windows guests of ours run. [PE format, "Machine Types"]
inline constexpr std::uint16_t kPeMachineI386 = 0x14c;
inline constexpr std::uint16_t kPeMachineX86_64 = 0x8664;

}  // namespace swat::symbols
