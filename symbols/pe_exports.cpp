// The export directory: an address table by ordinal, and beside it names, sorted, each with the
// index of its address. What of the addresses lies in the directory itself is the text of a
// forwarder. [PE format, "The .edata Section"]
#include <algorithm>
#include <tuple>

#include "symbols/pe_image.hpp"
#include "symbols/pe_tables.hpp"

namespace swat::symbols {
namespace {

struct ExportDirectory {
  std::uint32_t flags;
  std::uint32_t time_stamp;
  std::uint32_t version;
  std::uint32_t name;
  std::uint32_t first_ordinal;
  std::uint32_t function_count;
  std::uint32_t name_count;
  std::uint32_t functions;
  std::uint32_t names;
  std::uint32_t indexes;
};
static_assert(sizeof(ExportDirectory) == 40);

// kNotFound: the image exports nothing.
Result<ExportDirectory> read_directory(PeTables& tables, const PeLayout& layout) {
  const PeDirectory& where = layout.directory(PeTable::kExports);
  if (where.rva == 0) return fail(Errc::kNotFound, "no export directory");
  const auto directory = SWAT_TRY(tables.record<ExportDirectory>(where.rva));
  if (directory.function_count > layout.limits.max_functions ||
      directory.name_count > layout.limits.max_names) {
    return fail(Errc::kBadImage, "too many exports", layout.at(where.rva).value);
  }
  return directory;
}

// What `rva` of the address table is, without a name. nullopt: of no function.
Result<std::optional<PeExport>> describe(PeTables& tables, const PeLayout& layout,
                                         std::uint32_t ordinal, std::uint32_t rva) {
  if (rva == 0) return std::nullopt;  // a gap between ordinals
  PeExport out{ordinal, {}, {}, {}, false};
  if (layout.directory(PeTable::kExports).contains(rva)) {
    out.forwarder = SWAT_TRY(tables.name(rva));
    if (out.forwarder.empty())
      return fail(Errc::kBadImage, "empty forwarder", layout.at(rva).value);
    return out;
  }
  if (!layout.contains(rva, 1)) {
    return fail(Errc::kBadImage, "export outside its image", layout.at(rva).value);
  }
  out.address = layout.at(rva);
  out.is_code = layout.is_code(out.address);
  return out;
}

}  // namespace

Result<std::vector<PeExport>> PeImage::exports(VirtualMemory& memory) const {
  PeTables tables(memory, layout_);
  const auto directory = read_directory(tables, layout_);
  if (!directory && directory.error().code == Errc::kNotFound) return std::vector<PeExport>{};
  SWAT_CHECK(directory);
  const auto functions =
      SWAT_TRY(tables.array<std::uint32_t>(directory->functions, directory->function_count));
  const auto names = SWAT_TRY(tables.array<std::uint32_t>(directory->names, directory->name_count));
  const auto indexes =
      SWAT_TRY(tables.array<std::uint16_t>(directory->indexes, directory->name_count));

  const auto entry = [&](std::size_t index) {
    const auto number = static_cast<std::uint32_t>(index);
    return describe(tables, layout_, directory->first_ordinal + number, functions[index]);
  };

  std::vector<PeExport> out;
  std::vector<bool> has_name(functions.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::size_t index = indexes[i];
    if (index >= functions.size()) {
      return fail(Errc::kBadImage, "name of no export", layout_.at(directory->indexes).value);
    }
    std::optional<PeExport> named = SWAT_TRY(entry(index));
    if (!named) continue;
    named->name = SWAT_TRY(tables.name(names[i]));
    out.push_back(*std::move(named));
    has_name[index] = true;
  }
  for (std::size_t index = 0; index < functions.size(); ++index) {
    if (has_name[index]) continue;
    std::optional<PeExport> unnamed = SWAT_TRY(entry(index));
    if (unnamed) out.push_back(*std::move(unnamed));
  }
  std::ranges::sort(out, {}, [](const PeExport& e) { return std::tie(e.ordinal, e.name); });
  return out;
}

Result<std::string> PeImage::export_name(VirtualMemory& memory) const {
  PeTables tables(memory, layout_);
  return tables.name(SWAT_TRY(read_directory(tables, layout_)).name);
}

}  // namespace swat::symbols
