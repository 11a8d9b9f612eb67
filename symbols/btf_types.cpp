// All types of a .BTF section, one at a time. [Documentation/bpf/btf.rst of Linux]
#include "symbols/btf_section.hpp"

namespace swat::symbols {
namespace {

using Kind = Btf::Type::Kind;

struct Row {
  std::size_t btf_kind;
  Kind kind;
};
constexpr Row kRows[] = {
    {btf::kInt, Kind::kInteger},     {btf::kFloat, Kind::kFloat},
    {btf::kPointer, Kind::kPointer}, {btf::kArray, Kind::kArray},
    {btf::kStruct, Kind::kStruct},   {btf::kUnion, Kind::kUnion},
    {btf::kEnum, Kind::kEnum},       {btf::kEnum64, Kind::kEnum},
    {btf::kForward, Kind::kForward}, {btf::kFunctionPrototype, Kind::kFunction},
};

Kind kind_of(const btf::TypeHead& type) {
  for (const Row& row : kRows) {
    if (row.btf_kind == type.kind()) return row.kind;
  }
  return btf::role_of(type) == btf::Role::kAlias ? Kind::kAlias : Kind::kOther;
}

// struct btf_enum and btf_enum64.
struct RawEnumerator {
  std::uint32_t name;
  std::int32_t value;
};
struct RawEnumerator64 {
  std::uint32_t name;
  std::uint32_t low;
  std::uint32_t high;
};

Error cut_short() { return {Errc::kBadImage, "BTF type cut short", {}}; }

}  // namespace

Result<> Btf::Impl::read_integer(std::uint64_t behind_head, Type& type) const {
  constexpr std::uint32_t kSigned = 1 << 24;
  constexpr std::uint32_t kBool = 4 << 24;
  const auto encoding = load<std::uint32_t>(types, behind_head);
  if (!encoding) return tl::unexpected(cut_short());
  type.is_signed = (*encoding & kSigned) != 0;
  type.is_bool = (*encoding & kBool) != 0;
  return {};
}

Result<> Btf::Impl::read_members(std::uint32_t id, const btf::TypeHead& head, Type& type) const {
  for (std::uint32_t i = 0; i < head.vlen(); ++i) {
    const btf::RawMember member = SWAT_TRY(raw_member(id, i));
    const bool flag = head.kind_flag();
    type.members.push_back({SWAT_TRY(name(member.name)), member.type,
                            flag ? member.offset & 0xffffff : member.offset,
                            flag ? member.offset >> 24 : 0});
  }
  return {};
}

Result<> Btf::Impl::read_enumerators(std::uint64_t behind_head, const btf::TypeHead& head,
                                     Type& type) const {
  type.is_signed = head.kind_flag();
  for (std::uint32_t i = 0; i < head.vlen(); ++i) {
    if (head.kind() == btf::kEnum) {
      const auto raw = load<RawEnumerator>(types, behind_head + i * sizeof(RawEnumerator));
      if (!raw) return tl::unexpected(cut_short());
      const std::int64_t value = type.is_signed
                                     ? std::int64_t{raw->value}
                                     : std::int64_t{static_cast<std::uint32_t>(raw->value)};
      type.enumerators.push_back({SWAT_TRY(name(raw->name)), value});
    } else {
      const auto raw = load<RawEnumerator64>(types, behind_head + i * sizeof(RawEnumerator64));
      if (!raw) return tl::unexpected(cut_short());
      const std::uint64_t value = std::uint64_t{raw->high} << 32 | raw->low;
      type.enumerators.push_back({SWAT_TRY(name(raw->name)), static_cast<std::int64_t>(value)});
    }
  }
  return {};
}

std::uint32_t Btf::type_count() const { return static_cast<std::uint32_t>(impl_->at.size()) - 1; }
std::uint32_t Btf::pointer_bytes() const { return impl_->pointer_bytes; }

Result<Btf::Type> Btf::type(std::uint32_t id) const {
  const btf::TypeHead head = SWAT_TRY(impl_->head(id));
  const std::uint64_t behind_head = std::uint64_t{impl_->at[id]} + sizeof(btf::TypeHead);
  Type type;
  type.kind = kind_of(head);
  type.name = SWAT_TRY(impl_->name(head.name));
  switch (type.kind) {
    case Kind::kInteger:
      SWAT_CHECK(impl_->read_integer(behind_head, type));
      [[fallthrough]];
    case Kind::kFloat:
      type.size_bytes = head.size_or_type;
      break;
    case Kind::kStruct:
    case Kind::kUnion:
      type.size_bytes = head.size_or_type;
      SWAT_CHECK(impl_->read_members(id, head, type));
      break;
    case Kind::kEnum:
      type.size_bytes = head.size_or_type;
      SWAT_CHECK(impl_->read_enumerators(behind_head, head, type));
      break;
    case Kind::kArray: {
      const auto array = load<btf::RawArray>(impl_->types, behind_head);
      if (!array) return tl::unexpected(cut_short());
      type.target = array->element;
      type.count = array->count;
      break;
    }
    case Kind::kPointer:
    case Kind::kAlias:
      type.target = head.size_or_type;
      break;
    case Kind::kForward:
      type.is_union = head.kind_flag();
      break;
    case Kind::kFunction:
    case Kind::kOther:
      break;
  }
  return type;
}

}  // namespace swat::symbols
