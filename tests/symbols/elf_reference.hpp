// What other programs make of an ELF file: readelf by its section headers, and LIEF.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace swat::symbols {

struct ReferenceSymbol {
  std::uint64_t value = 0;
  std::uint64_t size_bytes = 0;
  std::string type;     // as readelf prints it: FUNC, IFUNC, ...
  std::string binding;  // GLOBAL, WEAK, UNIQUE
  std::string section;  // UND, ABS, or a number
  std::string name;
  std::string version;
  bool is_default = true;
};

struct ReferenceRelocation {
  std::uint64_t offset = 0;
  std::uint32_t type = 0;
  std::uint32_t symbol = 0;
  std::optional<std::uint64_t> addend;  // where readelf prints one without a symbol
  std::string table;                    // ".rela.plt"
  std::uint32_t index = 0;              // in it
};

struct ReferenceFile {
  std::map<std::uint32_t, ReferenceSymbol> symbols;  // of .dynsym, by index
  std::vector<ReferenceRelocation> relocations;
  std::string build_id;  // of a section; the Go linker has no PT_NOTE for it
  bool has_go_notes = false;
  std::string soname;
};

// Nothing when there is no readelf, or it does not know the file.
[[nodiscard]] std::optional<ReferenceFile> read_with_readelf(const std::filesystem::path& file);

// .symtab's, and which sections have code, as readelf numbers them.
struct ReferenceSymtab {
  std::vector<ReferenceSymbol> symbols;
  std::set<std::string> code_sections;
};
[[nodiscard]] std::optional<ReferenceSymtab> symtab_with_readelf(const std::filesystem::path& file);

// Without versions: LIEF 0.9 gives a symbol the last name of its version definition, which is that
// of the version's parent (libz's adler32_combine@ZLIB_1.2.2 as ZLIB_1.2.0.8).
struct LiefExport {
  std::string name;
  std::uint64_t value;

  friend auto operator<=>(const LiefExport&, const LiefExport&) = default;
};

// Defined global functions, IFUNCs too. Nothing when LIEF does not read the file.
[[nodiscard]] std::optional<std::vector<LiefExport>> exports_with_lief(
    const std::filesystem::path& file);

}  // namespace swat::symbols
