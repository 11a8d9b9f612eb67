#include "daemon/isf_types.hpp"

#include <algorithm>
#include <iterator>
#include <string>

namespace swat::daemon {
namespace {

using Json = nlohmann::json;
using Btf = symbols::Btf;
using Kind = Btf::Type::Kind;

Json base_type(std::uint32_t size_bytes, std::string_view kind, bool is_signed) {
  return {{"size", size_bytes}, {"kind", kind}, {"signed", is_signed}, {"endian", "little"}};
}

Json reference(std::string_view kind, std::string_view name) {
  return {{"kind", kind}, {"name", name}};
}

Json common_base_types(std::uint32_t pointer_bytes) {
  return {{"void", base_type(0, "void", false)},
          {"pointer", base_type(pointer_bytes, "int", false)}};
}

// --- Of BTF

class Converter {
 public:
  explicit Converter(const Btf& btf) : btf_(btf) {
    types_ = {common_base_types(btf.pointer_bytes()), Json::object(), Json::object()};
  }

  Result<IsfTypes> convert() {
    for (std::uint32_t id = 1; id <= btf_.type_count(); ++id) {
      SWAT_CHECK(add(id, SWAT_TRY(btf_.type(id))));
    }
    return std::move(types_);
  }

 private:
  static constexpr int kMaxDepth = 32;  // of pointers, arrays and aliases

  // What ISF calls a type that C gives no name.
  static std::string name_of(std::uint32_t id, const Btf::Type& type) {
    return type.name.empty() ? "unnamed_" + std::to_string(id) : std::string(type.name);
  }

  Result<> add(std::uint32_t id, const Btf::Type& type) {
    if (type.kind == Kind::kInteger) {
      const bool is_char = type.size_bytes == 1 && !type.is_bool;
      const std::string_view kind = type.is_bool ? "bool" : is_char ? "char" : "int";
      types_.base[std::string(type.name)] = base_type(type.size_bytes, kind, type.is_signed);
    } else if (type.kind == Kind::kFloat) {
      types_.base[std::string(type.name)] = base_type(type.size_bytes, "float", true);
    } else if (type.kind == Kind::kEnum) {
      add_enum(name_of(id, type), type);
    } else if (type.kind == Kind::kStruct || type.kind == Kind::kUnion) {
      return add_composite(name_of(id, type), type);
    }
    return {};
  }

  // BTF does not say which integer is below: one of the same size and sign.
  void add_enum(const std::string& name, const Btf::Type& type) {
    const std::string base =
        (type.is_signed ? "signed_" : "unsigned_") + std::to_string(type.size_bytes * 8);
    types_.base[base] = base_type(type.size_bytes, "int", type.is_signed);
    Json constants = Json::object();
    for (const auto& [key, value] : type.enumerators) constants[std::string(key)] = value;
    types_.enums[name] = {
        {"size", type.size_bytes}, {"base", base}, {"constants", std::move(constants)}};
  }

  // The first of a name counts: other translation units have others, of which nobody can tell.
  Result<> add_composite(const std::string& name, const Btf::Type& type) {
    if (types_.user.contains(name)) return {};
    Json fields = Json::object();
    for (std::size_t i = 0; i < type.members.size(); ++i) {
      const Btf::Type::Member& member = type.members[i];
      Json field = SWAT_TRY(field_of(member));
      if (member.name.empty()) {
        field["anonymous"] = true;
        fields["unnamed_field_" + std::to_string(i)] = std::move(field);
      } else {
        fields[std::string(member.name)] = std::move(field);
      }
    }
    types_.user[name] = {{"kind", type.kind == Kind::kUnion ? "union" : "struct"},
                         {"size", type.size_bytes},
                         {"fields", std::move(fields)}};
    return {};
  }

  // A bitfield's offset is that of the integer that it is a part of.
  Result<Json> field_of(const Btf::Type::Member& member) {
    constexpr std::uint32_t kByte = 8;
    Json type = SWAT_TRY(descriptor(member.type, 0));
    if (member.width_bits == 0) {
      return Json{{"offset", member.offset_bits / kByte}, {"type", std::move(type)}};
    }
    const std::uint32_t unit_bits = kByte * std::max(1u, SWAT_TRY(integer_bytes(member.type)));
    const std::uint32_t unit = member.offset_bits / unit_bits;
    return Json{{"offset", unit * unit_bits / kByte},
                {"type",
                 {{"kind", "bitfield"},
                  {"bit_position", member.offset_bits - unit * unit_bits},
                  {"bit_length", member.width_bits},
                  {"type", std::move(type)}}}};
  }

  Result<std::uint32_t> integer_bytes(std::uint32_t id) {
    for (int depth = 0; depth < kMaxDepth; ++depth) {
      const Btf::Type type = SWAT_TRY(btf_.type(id));
      if (type.kind != Kind::kAlias) return type.size_bytes;
      id = type.target;
    }
    return fail(Errc::kBadImage, "BTF types that name each other in a circle");
  }

  Result<Json> of_target(Json outer, const Btf::Type& type, int depth) {
    outer["subtype"] = SWAT_TRY(descriptor(type.target, depth + 1));
    return outer;
  }

  Result<Json> descriptor(std::uint32_t id, int depth) {
    if (id == 0) return reference("base", "void");
    if (depth > kMaxDepth)
      return fail(Errc::kBadImage, "BTF types that name each other in a circle");
    const Btf::Type type = SWAT_TRY(btf_.type(id));
    switch (type.kind) {
      case Kind::kInteger:
      case Kind::kFloat:
        return reference("base", type.name);
      case Kind::kPointer:
        return of_target(Json::object({{"kind", "pointer"}}), type, depth);
      case Kind::kArray:
        return of_target(Json::object({{"kind", "array"}, {"count", type.count}}), type, depth);
      case Kind::kStruct:
        return reference("struct", name_of(id, type));
      case Kind::kUnion:
        return reference("union", name_of(id, type));
      case Kind::kEnum:
        return reference("enum", name_of(id, type));
      case Kind::kForward:
        return reference(type.is_union ? "union" : "struct", type.name);
      case Kind::kFunction:
        return Json{{"kind", "function"}};
      case Kind::kAlias:
        return descriptor(type.target, depth + 1);
      case Kind::kOther:
        break;
    }
    return reference("base", "void");
  }

  const Btf& btf_;
  IsfTypes types_;
};

// --- Of what was inferred

Json pointer_to(std::string_view structure) {
  return {{"kind", "pointer"}, {"subtype", reference("struct", structure)}};
}

// How members of the profile's structures are typed. A path is that of a member within a member,
// whose own place follows where C leaves no choice.
struct MemberRow {
  std::string_view name;  // of the profile's field
  enum class Shape { kInt, kLong, kName, kList, kPointer } shape;
  std::string_view target;  // of a pointer
};
using Shape = MemberRow::Shape;
constexpr MemberRow kMembers[] = {
    {"task_stack", Shape::kPointer, "unknown"},
    {"task_tasks", Shape::kList, ""},
    {"task_mm", Shape::kPointer, "mm_struct"},
    {"task_pid", Shape::kInt, ""},
    {"task_tgid", Shape::kInt, ""},
    {"task_real_parent", Shape::kPointer, "task_struct"},
    {"task_group_leader", Shape::kPointer, "task_struct"},
    {"task_comm", Shape::kName, ""},
    {"mm_mmap", Shape::kPointer, "vm_area_struct"},
    {"mm_pgd", Shape::kPointer, "unknown"},
    {"mm_start_brk", Shape::kLong, ""},
    {"mm_brk", Shape::kLong, ""},
    {"mm_start_stack", Shape::kLong, ""},
    {"vma_start", Shape::kLong, ""},
    {"vma_end", Shape::kLong, ""},
    {"vma_next", Shape::kPointer, "vm_area_struct"},
    {"vma_mm", Shape::kPointer, "mm_struct"},
    {"vma_flags", Shape::kLong, ""},
    {"vma_pgoff", Shape::kLong, ""},
    {"vma_file", Shape::kPointer, "file"},
    {"vma_private_data", Shape::kPointer, "unknown"},
    {"dentry_parent", Shape::kPointer, "dentry"},
    {"dentry_inode", Shape::kPointer, "unknown"},
    {"mount_parent", Shape::kPointer, "mount"},
    {"mount_mountpoint", Shape::kPointer, "dentry"},
    {"vfsmount_root", Shape::kPointer, "dentry"},
};

Json type_of(const MemberRow& row) {
  constexpr unsigned kCommBytes = 16;
  switch (row.shape) {
    case Shape::kInt:
      return reference("base", "int");
    case Shape::kLong:
      return reference("base", "long unsigned int");
    case Shape::kName:
      return {{"kind", "array"}, {"count", kCommBytes}, {"subtype", reference("base", "char")}};
    case Shape::kList:
      return reference("struct", "list_head");
    case Shape::kPointer:
      break;
  }
  return row.target == "unknown" ? Json{{"kind", "pointer"}, {"subtype", reference("base", "void")}}
                                 : pointer_to(row.target);
}

void add_field(Json& user, std::string_view structure, std::string_view field, std::uint32_t offset,
               Json type, std::uint32_t word) {
  Json& into = user[std::string(structure)];
  if (into.is_null()) into = {{"kind", "struct"}, {"size", 0}, {"fields", Json::object()}};
  into["fields"][std::string(field)] = {{"offset", offset}, {"type", std::move(type)}};
  // How large it is nobody knows; no smaller than this.
  into["size"] = std::max(into["size"].get<std::uint32_t>(), offset + 2 * word);
}

}  // namespace

Result<IsfTypes> isf_types_of(const symbols::Btf& btf) { return Converter(btf).convert(); }

IsfTypes isf_types_of(const os::LinuxProfile& profile) {
  const std::uint32_t word = profile.layout.word_bytes;
  IsfTypes types{common_base_types(word), Json::object(), Json::object()};
  types.base["int"] = base_type(4, "int", true);
  types.base["char"] = base_type(1, "char", true);
  types.base["long unsigned int"] = base_type(word, "int", false);
  add_field(types.user, "list_head", "next", 0, pointer_to("list_head"), 0);
  add_field(types.user, "list_head", "prev", word, pointer_to("list_head"), 0);
  types.user["list_head"]["size"] = 2 * word;
  for (const os::ProfileField& field : os::profile_fields()) {
    const auto* const row = std::ranges::find(kMembers, field.name, &MemberRow::name);
    const os::MemberOffset& offset = profile.*field.member;
    if (row == std::end(kMembers) || !offset) continue;
    add_field(types.user, field.structure, field.path, *offset, type_of(*row), word);
  }
  return types;
}

}  // namespace swat::daemon
