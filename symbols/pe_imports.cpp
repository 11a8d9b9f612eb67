// Import descriptors, one for each library: the address table, whose words the loader replaces by
// addresses, and beside it a table of the same form that keeps saying what they were to be.
// [PE format, "The .idata Section" and "Delay-Load Import Tables"]
#include <algorithm>

#include "symbols/pe_image.hpp"
#include "symbols/pe_tables.hpp"
#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

struct ImportDescriptor {
  std::uint32_t lookups;  // 0: old linkers have left names in the address table alone
  std::uint32_t time_stamp;
  std::uint32_t forwarder_chain;
  std::uint32_t library;
  std::uint32_t addresses;
};
static_assert(sizeof(ImportDescriptor) == 20);

struct DelayDescriptor {
  std::uint32_t attributes;
  std::uint32_t library;
  std::uint32_t module_handle;
  std::uint32_t addresses;
  std::uint32_t lookups;
  std::uint32_t bound_addresses;
  std::uint32_t unload_addresses;
  std::uint32_t time_stamp;
};
static_assert(sizeof(DelayDescriptor) == 32);
constexpr std::uint32_t kDelayByRva = 1;  // else its members are addresses; until Visual C++ 6

// What both kinds of descriptors come down to.
struct Library {
  std::uint32_t name;
  std::uint32_t addresses;
  std::uint32_t lookups;
  bool is_delayed;
};

class ImportReader {
 public:
  ImportReader(VirtualMemory& memory, const PeLayout& layout)
      : tables_(memory, layout),
        layout_(layout),
        word_bytes_(layout.is_64_bit ? 8 : 4),
        by_ordinal_(std::uint64_t{1} << (layout.is_64_bit ? 63 : 31)) {}

  Result<> read_libraries() {
    for (std::uint32_t at = layout_.directory(PeTable::kImports).rva; at != 0;) {
      const auto raw = SWAT_TRY(tables_.record<ImportDescriptor>(at));
      if (raw.library == 0 || raw.addresses == 0) break;
      SWAT_CHECK(add({raw.library, raw.addresses, raw.lookups, false}));
      at += sizeof(ImportDescriptor);
    }
    for (std::uint32_t at = layout_.directory(PeTable::kDelayedImports).rva; at != 0;) {
      const auto raw = SWAT_TRY(tables_.record<DelayDescriptor>(at));
      if (raw.library == 0 || raw.addresses == 0) break;
      const std::uint32_t from =
          (raw.attributes & kDelayByRva) != 0 ? 0 : static_cast<std::uint32_t>(layout_.linked_base);
      SWAT_CHECK(add({raw.library - from, raw.addresses - from, raw.lookups - from, true}));
      at += sizeof(DelayDescriptor);
    }
    return {};
  }

  [[nodiscard]] std::vector<PeImport> take() {
    std::ranges::stable_sort(imports_, {}, &PeImport::slot);
    return std::move(imports_);
  }

 private:
  Result<> add(const Library& library) {
    if (++libraries_ > layout_.limits.max_libraries) {
      return fail(Errc::kBadImage, "too many imported libraries", layout_.extent.start.value);
    }
    const std::string name = SWAT_TRY(tables_.name(library.name));
    if (name.size() > layout_.limits.max_library_name_bytes) {
      return fail(Errc::kBadImage, "long name of an imported library",
                  layout_.at(library.name).value);
    }
    // Without lookups the address table tells at least how long it is.
    const std::uint32_t words = library.lookups != 0 ? library.lookups : library.addresses;
    for (std::uint32_t i = 0;; ++i) {
      if (imports_.size() > layout_.limits.max_imports) {
        return fail(Errc::kBadImage, "too many imports", layout_.extent.start.value);
      }
      const std::uint64_t lookup = SWAT_TRY(word(words + i * word_bytes_));
      if (lookup == 0) return {};
      const std::uint32_t slot = library.addresses + i * word_bytes_;
      if (!layout_.contains(slot, word_bytes_)) {
        return fail(Errc::kBadImage, "import slot outside its image", layout_.at(slot).value);
      }
      PeImport import{layout_.at(slot), name, {}, {}, library.is_delayed};
      if (library.lookups != 0) SWAT_CHECK(identify(lookup, import));
      imports_.push_back(std::move(import));
    }
  }

  // A lookup: an ordinal with the highest bit set, or where a hint of 16 bits and the name are.
  Result<> identify(std::uint64_t lookup, PeImport& import) {
    if ((lookup & by_ordinal_) != 0) {
      import.ordinal = static_cast<std::uint16_t>(lookup);
      return {};
    }
    constexpr std::uint32_t kHintBytes = 2;
    import.name = SWAT_TRY(tables_.name(static_cast<std::uint32_t>(lookup) + kHintBytes));
    return {};
  }

  Result<std::uint64_t> word(std::uint32_t rva) {
    if (word_bytes_ == 8) return tables_.record<std::uint64_t>(rva);
    return tables_.record<std::uint32_t>(rva);
  }

  PeTables tables_;
  const PeLayout& layout_;
  std::uint32_t word_bytes_;
  std::uint64_t by_ordinal_;
  std::size_t libraries_ = 0;
  std::vector<PeImport> imports_;
};

}  // namespace

Result<std::vector<PeImport>> PeImage::imports(VirtualMemory& memory) const {
  ImportReader reader(memory, layout_);
  SWAT_CHECK(reader.read_libraries());
  return reader.take();
}

}  // namespace swat::symbols
