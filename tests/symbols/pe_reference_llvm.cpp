#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string_view>

#include "pe_reference.hpp"
#include "program_output.hpp"

namespace swat::symbols {
namespace {

std::uint32_t number(std::string_view text) {
  return static_cast<std::uint32_t>(std::strtoul(std::string(text).c_str(), nullptr, 0));
}

std::string_view trimmed(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return line.substr(0, line.find_last_not_of(' ') + 1);
}

template <class Take>
void for_each_line(std::string_view text, Take take) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    take(trimmed(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// "(13 F3 15 ...)" as "13f315..."
std::string hex_of(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    if (std::isxdigit(static_cast<unsigned char>(c)) != 0)
      out += static_cast<char>(std::tolower(c));
  }
  return out;
}

// llvm-readobj's blocks: "Import {", lines of "Name: value", "}".
class ReadobjParser {
 public:
  explicit ReadobjParser(ReferencePe& out) : out_(out) {}

  void take(std::string_view line) {
    if (line.ends_with('{')) {
      open(line.substr(0, line.find(' ')));
    } else if (const std::size_t colon = line.find(':'); colon != line.npos) {
      field(line.substr(0, colon), trimmed(line.substr(colon + 1)));
    }
  }

 private:
  void open(std::string_view block) {
    if (block == "Export") out_.exports.emplace_back();
    const bool is_library = block == "Import" && block_ != "DelayImport";
    if (is_library || block == "DelayImport") {
      library_ = {};
      library_.is_delayed = block == "DelayImport";
    }
    block_ = block;
  }

  void field(std::string_view name, std::string_view value) {
    if (name == "Machine") out_.machine = number(value.substr(value.find('(') + 1));
    if (name == "SizeOfImage") out_.image_bytes = number(value);
    if (name == "PDBGUID") out_.guid = hex_of(value);
    if (name == "PDBAge") out_.age = number(value);
    if (name == "PDBFileName") out_.debug_file = value;
    if (block_ == "Export") export_field(name, value);
    if (name == "ImportAddressTableRVA" || name == "ImportAddressTable") {
      library_.slot = number(value);
    }
    if ((block_ == "Import" || block_ == "DelayImport") && name == "Name") library_.library = value;
    if (name == "Symbol") symbol(value);
  }

  void export_field(std::string_view name, std::string_view value) {
    ReferencePe::Export& row = out_.exports.back();
    if (name == "Ordinal") row.ordinal = number(value);
    if (name == "Name") row.name = value;
    if (name == "RVA") row.rva = number(value);
  }

  // "provided (0)": name and hint; "(7)": an ordinal.
  void symbol(std::string_view value) {
    const std::size_t open = value.rfind('(');
    ReferencePe::Import row = library_;
    row.name = trimmed(value.substr(0, open));
    if (row.name.empty()) row.ordinal = static_cast<std::uint16_t>(number(value.substr(open + 1)));
    out_.imports.push_back(row);
    library_.slot += out_.machine == 0x8664 ? 8 : 4;
  }

  ReferencePe& out_;
  ReferencePe::Import library_;  // of its next symbol
  std::string block_;
};

// llvm-objdump: "10   AddVectoredExceptionHandler (forwarded to NTDLL.RtlAdd...)".
void take_objdump(std::string_view line, ReferencePe& out) {
  constexpr std::string_view kNamed = "DLL name: ";
  constexpr std::string_view kForwarded = " (forwarded to ";
  // "DLL Name:" is an import's.
  if (line.starts_with(kNamed)) out.export_name = line.substr(kNamed.size());
  const std::size_t at = line.find(kForwarded);
  if (at == line.npos) return;
  const auto row = std::ranges::find(out.exports, number(line), &ReferencePe::Export::ordinal);
  if (row == out.exports.end()) return;
  row->rva = 0;
  row->forwarder = line.substr(at + kForwarded.size());
  row->forwarder.pop_back();
}

// llvm-readobj 14 takes a table without any name for damaged; llvm-objdump has all of it in a line:
// "1   0x1000       2   0x1018".
void take_nameless(std::string_view line, ReferencePe& out) {
  std::istringstream words{std::string(line)};
  std::string ordinal;
  std::string rva;
  while (words >> ordinal >> rva && rva.starts_with("0x")) {
    ReferencePe::Export& row = out.exports.emplace_back();
    row.ordinal = number(ordinal);
    row.rva = number(rva);
  }
}

}  // namespace

std::optional<ReferencePe> read_with_llvm(const std::filesystem::path& path) {
  const std::string file = " '" + path.string() + "' 2>/dev/null";
  const auto tables = output_of(
      "llvm-readobj --file-headers --coff-exports --coff-imports --coff-debug-directory" + file);
  const auto forwarders = output_of("llvm-objdump -p" + file);
  if (!tables || tables->empty() || !forwarders || forwarders->empty()) return {};
  ReferencePe out;
  ReadobjParser parser(out);
  for_each_line(*tables, [&](std::string_view line) { parser.take(line); });
  std::erase_if(out.exports, [](const ReferencePe::Export& row) { return row.rva == 0; });
  const bool has_names = !out.exports.empty();
  for_each_line(*forwarders, [&](std::string_view line) {
    if (!has_names) take_nameless(line, out);
    take_objdump(line, out);
  });
  return out;
}

}  // namespace swat::symbols
