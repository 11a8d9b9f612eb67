// What other programs make of a PE file: LLVM's llvm-readobj and llvm-objdump, and LIEF.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace swat::symbols {

struct ReferencePe {
  struct Export {
    std::uint32_t ordinal = 0;
    std::string name;
    std::uint32_t rva = 0;  // 0: of a forwarder
    std::string forwarder;
    friend auto operator<=>(const Export&, const Export&) = default;
  };
  struct Import {
    std::uint32_t slot = 0;
    std::string library;
    std::string name;
    std::optional<std::uint16_t> ordinal;  // where there is no name
    bool is_delayed = false;
    friend auto operator<=>(const Import&, const Import&) = default;
  };

  std::uint32_t machine = 0;
  std::uint32_t image_bytes = 0;
  std::string export_name;
  std::string guid;  // bytes as they lie in the file, in hex
  std::uint32_t age = 0;
  std::string debug_file;
  std::vector<Export> exports;
  std::vector<Import> imports;
};

// Nothing when these programs are not there, or do not know the file.
[[nodiscard]] std::optional<ReferencePe> read_with_llvm(const std::filesystem::path& file);
// Without delayed imports, and without exports that have no name.
[[nodiscard]] std::optional<ReferencePe> read_pe_with_lief(const std::filesystem::path& file);

}  // namespace swat::symbols
