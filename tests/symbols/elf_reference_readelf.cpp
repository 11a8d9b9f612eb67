#include <cstdlib>
#include <sstream>
#include <string_view>

#include "elf_reference.hpp"
#include "program_output.hpp"

namespace swat::symbols {
namespace {

std::uint64_t number(const std::string& text, int base) {
  return std::strtoull(text.c_str(), nullptr, base);
}

std::vector<std::string> words(std::string_view line) {
  std::istringstream in{std::string(line)};
  std::vector<std::string> out;
  for (std::string word; in >> word;) {
    // "<OS specific>: 10", where the file does not say that its OS/ABI is GNU's.
    if (word == "<OS") {
      std::string value;
      in >> word >> value;
      word = out.size() == 3 ? "IFUNC" : "UNIQUE";
    }
    if (word.starts_with('[')) continue;  // "[VARIANT_PCS]"
    out.push_back(word);
  }
  return out;
}

// "  5: 000000000009a510   12 FUNC    GLOBAL DEFAULT   15 free@@GLIBC_2.2.5"
void add_symbol(const std::vector<std::string>& row, ReferenceFile& file) {
  if (row.size() < 7 || !row[0].ends_with(':') || row[0] == "Num:") return;
  ReferenceSymbol symbol{.value = number(row[1], 16),
                         .size_bytes = number(row[2], 0),
                         .type = row[3],
                         .binding = row[4],
                         .section = row[6],
                         .name = {},
                         .version = {}};
  if (row.size() > 7) {
    const std::string& full = row[7];
    const std::size_t sign = full.find('@');
    symbol.name = full.substr(0, sign);
    if (sign != std::string::npos) {
      symbol.is_default = full.substr(sign).starts_with("@@");
      symbol.version = full.substr(full.find_last_of('@') + 1);
    }
  }
  file.symbols[static_cast<std::uint32_t>(number(row[0], 10))] = symbol;
}

// "00000000001d2df0  000001fa00000006 R_X86_64_GLOB_DAT  0000000000098ef0 free@@GLIBC_2.2.5 + 0"
// "00000000001d3000  0000000000000025 R_X86_64_IRELATIV                   a6110"
ReferenceRelocation parse_relocation(const std::vector<std::string>& row) {
  const std::uint64_t info = number(row[1], 16);
  const bool is_64_bit = row[1].size() == 16;
  ReferenceRelocation out;
  out.offset = number(row[0], 16);
  out.type = static_cast<std::uint32_t>(is_64_bit ? info & 0xffff'ffff : info & 0xff);
  out.symbol = static_cast<std::uint32_t>(is_64_bit ? info >> 32 : info >> 8);
  if (row.size() == 4) out.addend = number(row[3], 16);
  return out;
}

class Parser {
 public:
  ReferenceFile take(const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      feed(std::string_view(text).substr(at, end - at));
      at = end + 1;
    }
    return std::move(file_);
  }

 private:
  void feed(std::string_view line) {
    if (line.starts_with("Relocation section '")) {
      table_ = line.substr(20, line.find('\'', 20) - 20);
      index_ = 0;
    } else if (line.starts_with("Symbol table")) {
      table_.clear();
    } else if (line.find("(SONAME)") != line.npos) {
      file_.soname = line.substr(line.find('[') + 1, line.rfind(']') - line.find('[') - 1);
    } else if (line.find("Build ID: ") != line.npos) {
      file_.build_id = line.substr(line.find("Build ID: ") + 10);
    } else if (line.find("GO BUILDID") != line.npos) {
      file_.has_go_notes = true;
    } else if (!table_.empty()) {
      add_relocation(line);
    } else {
      add_symbol(words(line), file_);
    }
  }

  void add_relocation(std::string_view line) {
    if (line.empty() || line.find("   Info  ") != line.npos) return;
    ++index_;
    if (line.find("_RELATIVE") != line.npos) return;  // by the hundred thousand
    const std::vector<std::string> row = words(line);
    if (row.size() < 3 || !row[2].starts_with("R_")) return;
    ReferenceRelocation relocation = parse_relocation(row);
    relocation.table = table_;
    relocation.index = index_ - 1;
    file_.relocations.push_back(relocation);
  }

  ReferenceFile file_;
  std::string table_;
  std::uint32_t index_ = 0;
};

}  // namespace

std::optional<ReferenceFile> read_with_readelf(const std::filesystem::path& path) {
  const auto text =
      output_of("LC_ALL=C readelf -W -d -n -r --dyn-syms '" + path.string() + "' 2>/dev/null");
  if (!text || text->empty()) return {};
  return Parser().take(*text);
}

// "  [ 7] .text  PROGBITS  00000000004010c0 0010c0 07616e 00  AX  0   0 64"
std::optional<ReferenceSymtab> symtab_with_readelf(const std::filesystem::path& path) {
  const std::string file = " '" + path.string() + "' 2>/dev/null";
  const auto sections = output_of("LC_ALL=C readelf -S -W" + file);
  const auto symbols = output_of("LC_ALL=C readelf -s -W" + file);
  if (!sections || !symbols || symbols->empty()) return {};
  ReferenceSymtab out;
  std::istringstream lines(*sections);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t open = line.find('[');
    const std::size_t close = line.find(']');
    if (open == line.npos || close == line.npos) continue;
    const auto row = words(line.substr(close + 1));
    const std::string number = words(line.substr(open + 1, close - open - 1)).at(0);
    if (row.size() > 6 && row[6].find('X') != std::string::npos) out.code_sections.insert(number);
  }
  for (auto& [index, symbol] : Parser().take(*symbols).symbols) out.symbols.push_back(symbol);
  return out;
}

}  // namespace swat::symbols
