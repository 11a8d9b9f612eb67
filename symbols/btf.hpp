// BTF: the kernel's own description of its structures. [Documentation/bpf/btf.rst of Linux]
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "symbols/kernel_image.hpp"
#include "symbols/result.hpp"

namespace swat::symbols {

class Btf {
 public:
  // A whole .BTF section. Every type id, offset and count in it is checked.
  [[nodiscard]] static Result<Btf> parse(std::span<const std::byte> section);
  // vmlinux's .BTF inside a kernel image; split BTF of modules is passed over.
  [[nodiscard]] static Result<Btf> find(const KernelImage& image);

  struct Member {
    std::uint32_t offset_bytes;
    std::uint32_t size_bytes;
  };
  // `path` is a member path: "mm", "thread_info.flags"; anonymous members are seen through.
  // kNotFound when the structure or the member does not exist in this kernel.
  [[nodiscard]] Result<Member> member(std::string_view structure, std::string_view path) const;
  [[nodiscard]] Result<std::uint32_t> size_of(std::string_view structure) const;

  // One type as it stands, for who wants all of them. Names refer into the Btf.
  struct Type {
    enum class Kind {
      kInteger,
      kFloat,
      kPointer,
      kArray,
      kStruct,
      kUnion,
      kEnum,
      kForward,   // a structure, or a union (is_union), that is defined nowhere
      kFunction,  // prototype
      kAlias,     // a typedef or qualifier of `target`
      kOther,     // no type of data: a function, a variable, a section, a tag
    };
    struct Member {
      std::string_view name;  // "" when anonymous
      std::uint32_t type;
      std::uint32_t offset_bits;
      std::uint32_t width_bits;  // of a bitfield, else 0
    };
    struct Enumerator {
      std::string_view name;
      std::int64_t value;
    };
    Kind kind = Kind::kOther;
    std::string_view name;         // "" when anonymous
    std::uint32_t size_bytes = 0;  // of integers, floats, structures, unions, enums
    std::uint32_t target = 0;      // of pointers, arrays (elements), aliases; 0 is void
    std::uint32_t count = 0;       // of arrays
    bool is_signed = false;        // of integers and enums
    bool is_bool = false;          // of integers
    bool is_union = false;         // of forwards
    std::vector<Member> members;
    std::vector<Enumerator> enumerators;
  };
  [[nodiscard]] std::uint32_t type_count() const;  // ids are 1 to this; 0 is void
  // kBadImage: no such id, or a type that is cut short.
  [[nodiscard]] Result<Type> type(std::uint32_t id) const;
  [[nodiscard]] std::uint32_t pointer_bytes() const;

  Btf(Btf&&) noexcept;
  Btf& operator=(Btf&&) noexcept;
  ~Btf();

 private:
  struct Impl;
  explicit Btf(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace swat::symbols
