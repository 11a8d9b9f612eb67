// The .BTF section as it lies in memory; of btf.cpp and btf_types.cpp alone.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "symbols/btf.hpp"
#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace btf {

using Bytes = std::span<const std::byte>;

// struct btf_header. [include/uapi/linux/btf.h]
struct Header {
  std::uint16_t magic;
  std::uint8_t version;
  std::uint8_t flags;
  std::uint32_t header_bytes;
  std::uint32_t types_at;  // both offsets count from the end of the header
  std::uint32_t types_bytes;
  std::uint32_t strings_at;
  std::uint32_t strings_bytes;
};
static_assert(sizeof(Header) == 24);

// struct btf_type: what every type begins with.
struct TypeHead {
  std::uint32_t name;
  std::uint32_t info;          // 0-15 vlen, 24-28 kind, 31 kind_flag
  std::uint32_t size_or_type;  // by kind

  [[nodiscard]] std::uint32_t vlen() const { return info & 0xffff; }
  [[nodiscard]] std::size_t kind() const { return info >> 24 & 0x1f; }
  [[nodiscard]] bool kind_flag() const { return info >> 31 != 0; }
};
static_assert(sizeof(TypeHead) == 12);

struct RawMember {
  std::uint32_t name;
  std::uint32_t type;
  std::uint32_t offset;  // in bits; with kind_flag the upper 8 bits are a bitfield's width
};
static_assert(sizeof(RawMember) == 12);

struct RawArray {
  std::uint32_t element;
  std::uint32_t index;
  std::uint32_t count;
};
static_assert(sizeof(RawArray) == 12);

enum class Role : std::uint8_t { kOther, kSized, kPointer, kArray, kComposite, kAlias };

struct Kind {
  std::uint8_t fixed_bytes;  // behind the head
  std::uint8_t each_bytes;   // times vlen
  Role role;
};

// By BTF_KIND_*. A typedef, const, volatile, restrict or type tag is seen through.
inline constexpr std::array<Kind, 20> kKinds = {{
    {0, 0, Role::kOther},       // void
    {4, 0, Role::kSized},       // INT
    {0, 0, Role::kPointer},     // PTR
    {12, 0, Role::kArray},      // ARRAY
    {0, 12, Role::kComposite},  // STRUCT
    {0, 12, Role::kComposite},  // UNION
    {0, 8, Role::kSized},       // ENUM
    {0, 0, Role::kOther},       // FWD
    {0, 0, Role::kAlias},       // TYPEDEF
    {0, 0, Role::kAlias},       // VOLATILE
    {0, 0, Role::kAlias},       // CONST
    {0, 0, Role::kAlias},       // RESTRICT
    {0, 0, Role::kOther},       // FUNC
    {0, 8, Role::kOther},       // FUNC_PROTO
    {4, 0, Role::kOther},       // VAR
    {0, 12, Role::kOther},      // DATASEC
    {0, 0, Role::kSized},       // FLOAT, since 5.13
    {4, 0, Role::kOther},       // DECL_TAG, since 5.16
    {0, 0, Role::kAlias},       // TYPE_TAG, since 5.17
    {0, 12, Role::kSized},      // ENUM64, since 6.0
}};
// BTF_KIND_*
inline constexpr std::size_t kInt = 1;
inline constexpr std::size_t kPointer = 2;
inline constexpr std::size_t kArray = 3;
inline constexpr std::size_t kStruct = 4;
inline constexpr std::size_t kUnion = 5;
inline constexpr std::size_t kEnum = 6;
inline constexpr std::size_t kForward = 7;
inline constexpr std::size_t kTypedef = 8;
inline constexpr std::size_t kFunctionPrototype = 13;
inline constexpr std::size_t kFloat = 16;
inline constexpr std::size_t kEnum64 = 19;

inline constexpr int kMaxDepth = 32;  // of aliases, arrays, anonymous members

inline Role role_of(const TypeHead& type) { return kKinds[type.kind()].role; }

}  // namespace btf

struct Btf::Impl {
  std::vector<std::byte> types;
  std::vector<std::byte> strings;
  std::vector<std::uint32_t> at;  // of each type in `types`; id 0 is void and has none
  std::unordered_map<std::string_view, std::uint32_t> composites;
  std::unordered_map<std::string_view, std::uint32_t> typedefs;
  std::uint32_t pointer_bytes = 8;

  [[nodiscard]] Result<> index();
  [[nodiscard]] Result<> index_type(std::uint32_t id, const btf::TypeHead& type);
  [[nodiscard]] Result<btf::TypeHead> head(std::uint32_t id) const;
  [[nodiscard]] Result<std::string_view> name(std::uint32_t offset) const;
  [[nodiscard]] Result<std::uint32_t> resolve(std::uint32_t id) const;
  [[nodiscard]] Result<std::uint32_t> composite(std::string_view name) const;
  [[nodiscard]] Result<std::uint64_t> size(std::uint32_t id) const;
  [[nodiscard]] Result<btf::RawMember> raw_member(std::uint32_t id, std::uint32_t index) const;

  struct Found {
    std::uint64_t offset_bits;
    std::uint32_t type;
    std::uint32_t bitfield_bits;  // 0: not a bitfield
  };
  [[nodiscard]] Result<Found> find(std::uint32_t id, std::string_view wanted, int depth,
                                   int& visits) const;
  [[nodiscard]] Result<Member> sized(const Found& found) const;

  // What follows the head, for Btf::type (btf_types.cpp).
  [[nodiscard]] Result<> read_integer(std::uint64_t behind_head, Type& type) const;
  [[nodiscard]] Result<> read_members(std::uint32_t id, const btf::TypeHead& head,
                                      Type& type) const;
  [[nodiscard]] Result<> read_enumerators(std::uint64_t behind_head, const btf::TypeHead& head,
                                          Type& type) const;
};

}  // namespace swat::symbols
