// Lays out a small kernel image with kallsyms of any era, as scripts/kallsyms.c and the assembler
// do: from a list of names, forward. It shares nothing with the finder, which works backward.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "symbols/kernel_image.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::symbols::test {

enum class Addresses { kAbsolute, kRelative, kRelativePercpu, kPlaceRelative };
enum class Seqs { kNone, kBehindMarkers, kLast };

// What scripts/kallsyms.c and ALGN wrote at some time for some architecture.
struct Era {
  std::string_view name;
  unsigned pointer_bytes;
  Addresses addresses;
  bool addresses_last;    // since 6.4
  std::size_t alignment;  // what ALGN comes to
  unsigned long_bytes;    // of num_syms and of each marker
  Seqs seqs;
  bool long_names;  // ULEB128 lengths, since 6.1
};

struct BuiltKernel {
  Era era;
  Va base;
  std::vector<std::byte> bytes;
  std::vector<Symbol> symbols;  // what a finder should say
  std::size_t table_begin;      // where kallsyms begins; before it are code and strings

  [[nodiscard]] KernelImage image() const { return {base, bytes, era.pointer_bytes}; }
};

struct BuildOptions {
  std::size_t symbols = 1500;
  std::uint64_t symbol_spacing = 16;
  bool with_data_symbols = true;   // linux_banner, as KALLSYMS_ALL has it
  std::uint64_t banner_error = 0;  // added to linux_banner's address
};

[[nodiscard]] BuiltKernel build_kernel(const Era& era, const BuildOptions& options);
// 2.5.54 to 2.6.9; of `era` only the pointer's size and the alignment count.
[[nodiscard]] BuiltKernel build_stem_kernel(const Era& era, const BuildOptions& options);

// Every layout in the kernel's history that an architecture of ours had.
[[nodiscard]] const std::vector<Era>& all_eras();

}  // namespace swat::symbols::test
