#include <LIEF/PE.hpp>
#include <map>

#include "pe_reference.hpp"

namespace swat::symbols {
namespace {

// LIEF 0.9 has a forwarder twice: under its own name at the address of its text, and under the text
// as name of an external one.
std::vector<ReferencePe::Export> rows_of(const LIEF::PE::Export& all) {
  std::map<std::uint32_t, std::string> forwarders;
  for (const LIEF::PE::ExportEntry& entry : all.entries()) {
    if (entry.is_extern()) forwarders[entry.ordinal()] = entry.name();
  }
  std::vector<ReferencePe::Export> rows;
  for (const LIEF::PE::ExportEntry& entry : all.entries()) {
    if (entry.is_extern() || entry.address() == 0) continue;  // 0: a gap between ordinals
    const auto forwarder = forwarders.find(entry.ordinal());
    const bool is_here = forwarder == forwarders.end();
    rows.push_back({entry.ordinal(), entry.name(), is_here ? entry.address() : 0,
                    is_here ? std::string() : forwarder->second});
  }
  return rows;
}

}  // namespace

std::optional<ReferencePe> read_pe_with_lief(const std::filesystem::path& file) try {
  const std::unique_ptr<LIEF::PE::Binary> binary = LIEF::PE::Parser::parse(file.string());
  if (!binary) return {};
  ReferencePe out;
  out.machine = static_cast<std::uint32_t>(binary->header().machine());
  out.image_bytes = binary->optional_header().sizeof_image();
  if (binary->has_exports()) {
    const LIEF::PE::Export& all = std::as_const(*binary).get_export();
    out.export_name = all.name();
    out.exports = rows_of(all);
  }
  for (const LIEF::PE::Import& import : std::as_const(*binary).imports()) {
    for (const LIEF::PE::ImportEntry& entry : import.entries()) {
      ReferencePe::Import row{
          static_cast<std::uint32_t>(entry.iat_address()), import.name(), {}, {}};
      if (entry.is_ordinal()) {
        row.ordinal = entry.ordinal();
      } else {
        row.name = entry.name();
      }
      out.imports.push_back(row);
    }
  }
  return out;
} catch (const LIEF::exception&) {
  return {};
}

}  // namespace swat::symbols
