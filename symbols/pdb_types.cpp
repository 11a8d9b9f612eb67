#include "symbols/pdb_types.hpp"

#include <algorithm>
#include <iterator>

#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

struct TypeStreamHeader {
  std::uint32_t version;
  std::uint32_t header_bytes;
  std::uint32_t first_number;
  std::uint32_t end_number;
  std::uint32_t records_bytes;
};
static_assert(sizeof(TypeStreamHeader) == 20);
constexpr std::uint32_t kVersion70 = 19990903;  // and no other one since 20040203

constexpr std::size_t kMaxRecords = 4 << 20;  // ntkrnlmp.pdb has some 50,000
constexpr int kMaxDepth = 8;                  // of members in members, and of const volatile
constexpr int kMaxFieldLists = 64;            // that one structure takes, of 64 KiB each

constexpr std::uint16_t kModifier = 0x1001;
constexpr std::uint16_t kFieldList = 0x1203;
constexpr std::uint16_t kClass = 0x1504;
constexpr std::uint16_t kStructure = 0x1505;
constexpr std::uint16_t kUnion = 0x1506;

// Behind the kind: the number of members, properties, the field list; in structures, what they
// derive from; then the size, and the name.
constexpr std::uint64_t kPropertiesAt = 2;
constexpr std::uint64_t kFieldsAt = 4;
constexpr std::uint16_t kIsDeclaration = 0x80;
struct CompositeRow {
  std::uint16_t kind;
  std::uint64_t size_at;
};
constexpr CompositeRow kComposites[] = {{kClass, 16}, {kStructure, 16}, {kUnion, 8}};

// What lists of members consist of. Each has its kind, attributes, and a type; then perhaps a
// number, perhaps a name.
struct FieldRow {
  std::uint16_t kind;
  bool has_number;
  bool has_name;
};
constexpr std::uint16_t kIndex = 0x1404;  // the list goes on in that "type"
constexpr std::uint16_t kMember = 0x150d;
constexpr std::uint16_t kMethod = 0x1511;
constexpr FieldRow kFields[] = {
    {kMember, true, true},  {kIndex, false, false}, {0x150e, false, true},  // a static member
    {0x1510, false, true},   // a type that is declared within
    {0x150f, false, true},   // methods of one name
    {kMethod, false, true},  // a method that has its name to itself
    {0x1400, true, false},   // a base class
    {0x1409, false, false},  // the table of virtual functions
};

// Takes one thing after another out of a record; what the record ends within is nullopt.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::uint64_t at) : bytes_(bytes), at_(at) {}

  template <class T>
  std::optional<T> take() {
    const auto value = load<T>(bytes_, at_);
    at_ += sizeof(T);
    return value;
  }
  // Small ones are where the kinds of larger ones would be. No size or offset is negative.
  std::optional<std::uint64_t> take_number() {
    const auto kind = take<std::uint16_t>();
    if (!kind || *kind < 0x8000) return kind;
    if (*kind == 0x8002) return take<std::uint16_t>();
    if (*kind == 0x8003 || *kind == 0x8004) return take<std::uint32_t>();
    if (*kind == 0x8009 || *kind == 0x800a) return take<std::uint64_t>();
    return {};
  }
  std::optional<std::string_view> take_name() {
    const auto name = load_c_string(bytes_, at_, bytes_.size());
    if (name) at_ += name->size() + 1;
    return name;
  }
  // Padding tells in its first byte how long it is.
  void pass_padding() {
    constexpr std::uint8_t kPadding = 0xf0;
    const auto byte = load<std::uint8_t>(bytes_, at_);
    if (byte && *byte > kPadding) at_ += *byte - kPadding;
  }
  [[nodiscard]] bool is_at_end() const { return at_ >= bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  std::uint64_t at_;
};

struct Field {
  std::uint16_t kind;
  std::uint32_t type;
  std::uint64_t number = 0;
  std::string_view name;
};

// A virtual method that overrides none has its place in the table behind its type.
bool introduces_slot(std::uint16_t attributes) {
  constexpr unsigned kIntroducing = 4;
  constexpr unsigned kPureIntroducing = 6;
  const unsigned property = attributes >> 2 & 7;
  return property == kIntroducing || property == kPureIntroducing;
}

Result<Field> take_field(Cursor& cursor) {
  const auto kind = cursor.take<std::uint16_t>();
  const auto attributes = cursor.take<std::uint16_t>();
  const auto type = cursor.take<std::uint32_t>();
  if (!kind || !attributes || !type)
    return fail(Errc::kBadImage, "a PDB with a list of members cut off");
  const auto* const row = std::ranges::find(kFields, *kind, &FieldRow::kind);
  if (row == std::end(kFields)) {
    return fail(Errc::kUnsupported,
                "a PDB with members of a kind not known: " + std::to_string(*kind));
  }
  if (*kind == kMethod && introduces_slot(*attributes)) cursor.take<std::uint32_t>();
  const auto number = row->has_number ? cursor.take_number() : 0;
  const auto name = row->has_name ? cursor.take_name() : "";
  if (!number || !name) return fail(Errc::kBadImage, "a PDB with a member cut off");
  cursor.pass_padding();
  return Field{*kind, *type, *number, *name};
}

std::uint64_t size_at(std::uint16_t kind) {
  const auto* const row = std::ranges::find(kComposites, kind, &CompositeRow::kind);
  return row == std::end(kComposites) ? 0 : row->size_at;
}

// nullopt: it has none, or is cut off.
std::optional<std::string_view> name_of(std::uint16_t kind, std::span<const std::byte> content) {
  const std::uint64_t at = size_at(kind);
  if (at == 0) return {};
  Cursor cursor(content, at);
  return cursor.take_number() ? cursor.take_name() : std::nullopt;
}

bool is_declaration(std::span<const std::byte> content) {
  return (load<std::uint16_t>(content, kPropertiesAt).value_or(kIsDeclaration) & kIsDeclaration) !=
         0;
}

}  // namespace

Result<PdbTypes> PdbTypes::open(std::span<const std::byte> stream) {
  const auto header = load<TypeStreamHeader>(stream, 0);
  if (!header) return fail(Errc::kBadImage, "a PDB whose types are cut off");
  if (header->version < kVersion70) {
    return fail(Errc::kUnsupported, "a PDB with types of before format 7.0");
  }
  if (!holds(stream, header->header_bytes, header->records_bytes)) {
    return fail(Errc::kBadImage, "a PDB whose types reach out of their stream");
  }
  PdbTypes types;
  types.first_ = header->first_number;
  SWAT_CHECK(types.read_records(stream.subspan(header->header_bytes, header->records_bytes)));
  return types;
}

Result<> PdbTypes::read_records(std::span<const std::byte> records) {
  for (std::uint64_t at = 0; at < records.size();) {
    const auto size_bytes = load<std::uint16_t>(records, at);
    const auto kind = load<std::uint16_t>(records, at + sizeof(std::uint16_t));
    const std::uint64_t start = at + sizeof(std::uint16_t);
    if (!kind || *size_bytes < sizeof(*kind) || !holds(records, start, *size_bytes)) {
      return fail(Errc::kBadImage, "a PDB with a type that is cut off");
    }
    if (records_.size() == kMaxRecords) return fail(Errc::kBadImage, "a PDB with too many types");
    records_.push_back({*kind, records.subspan(start, *size_bytes).subspan(sizeof(*kind))});
    learn_name(static_cast<std::uint32_t>(records_.size() - 1));
    at = start + *size_bytes;
  }
  return {};
}

// Of several definitions the first counts.
void PdbTypes::learn_name(std::uint32_t number) {
  const Record& record = records_[number];
  if (is_declaration(record.content)) return;
  if (const auto name = name_of(record.kind, record.content)) defined_.emplace(*name, number);
}

Result<PdbTypes::Record> PdbTypes::record(std::uint32_t number) const {
  if (number < first_ || number - first_ >= records_.size()) {
    return fail(Errc::kNotFound, "a PDB without type " + std::to_string(number));
  }
  return records_[number - first_];
}

Result<std::uint32_t> PdbTypes::fields_of(std::uint32_t type) const {
  Record found = SWAT_TRY(record(type));
  for (int i = 0; i < kMaxDepth && found.kind == kModifier; ++i) {
    found = SWAT_TRY(record(load<std::uint32_t>(found.content, 0).value_or(0)));
  }
  const auto name = name_of(found.kind, found.content);
  if (!name) return fail(Errc::kNotFound, "a member that has no members");
  if (is_declaration(found.content)) {
    const auto definition = defined_.find(*name);
    if (definition == defined_.end()) {
      return fail(Errc::kNotFound, "a PDB without the definition of " + std::string(*name));
    }
    found = records_[definition->second];
  }
  const auto fields = load<std::uint32_t>(found.content, kFieldsAt);
  if (!fields) return fail(Errc::kBadImage, "a PDB with a structure cut off");
  return *fields;
}

Result<PdbTypes::Member> PdbTypes::find_member(std::uint32_t fields, std::string_view name) const {
  for (int i = 0; i < kMaxFieldLists; ++i) {
    const Record list = SWAT_TRY(record(fields));
    if (list.kind != kFieldList) return fail(Errc::kBadImage, "a PDB with no list of members");
    std::optional<std::uint32_t> next;
    for (Cursor cursor(list.content, 0); !cursor.is_at_end();) {
      const Field field = SWAT_TRY(take_field(cursor));
      if (field.kind == kIndex) next = field.type;
      if (field.kind != kMember || field.name != name) continue;
      const auto offset = static_cast<std::uint32_t>(field.number);
      if (offset != field.number) return fail(Errc::kBadImage, "a PDB with a member far away");
      return Member{offset, field.type};
    }
    if (!next) return fail(Errc::kNotFound, "no member " + std::string(name));
    fields = *next;
  }
  return fail(Errc::kBadImage, "a PDB with an endless list of members");
}

Result<std::uint32_t> PdbTypes::offset(std::string_view path) const {
  const std::size_t dot = path.find('.');
  const auto structure = defined_.find(path.substr(0, dot));
  if (dot == path.npos || structure == defined_.end()) {
    return fail(Errc::kNotFound, "no structure " + std::string(path.substr(0, dot)));
  }
  std::uint32_t type = first_ + structure->second;
  std::uint64_t offset = 0;
  std::string_view rest = path.substr(dot + 1);
  for (int i = 0; i < kMaxDepth; ++i) {
    const std::size_t end = std::min(rest.find('.'), rest.size());
    const std::uint32_t fields = SWAT_TRY(fields_of(type));
    const Member member = SWAT_TRY(find_member(fields, rest.substr(0, end)));
    type = member.type;
    offset += member.offset;
    if (offset > UINT32_MAX) return fail(Errc::kBadImage, "a PDB with a member far away");
    if (end == rest.size()) return static_cast<std::uint32_t>(offset);
    rest.remove_prefix(end + 1);
  }
  return fail(Errc::kUsage, "too many members in one another: " + std::string(path));
}

}  // namespace swat::symbols
