// The types of a PDB: its type stream, as far as structures, unions and their members go.
// [llvm.org/docs/PDB/TpiStream.html, CodeViewTypes.html; LLVM's codeview::TypeRecord]
//
// Records follow each other, each known by its number. A structure names the record that lists its
// members, which goes on in another one where 64 KiB are not enough; where it is only declared, its
// definition has the same name. Compilers list members of unnamed members with the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "symbols/result.hpp"

namespace swat::symbols {

class PdbTypes {
 public:
  // `stream` outlives this. kBadImage: it contradicts itself; kUnsupported: of before 1999.
  [[nodiscard]] static Result<PdbTypes> open(std::span<const std::byte> stream);

  // Of "_KPCR.Prcb.CurrentThread", in bytes. kNotFound: no such structure, or no such member.
  [[nodiscard]] Result<std::uint32_t> offset(std::string_view path) const;

 private:
  struct Record {
    std::uint16_t kind;
    std::span<const std::byte> content;
  };
  struct Member {
    std::uint32_t offset;
    std::uint32_t type;
  };

  [[nodiscard]] Result<> read_records(std::span<const std::byte> records);
  void learn_name(std::uint32_t number);
  [[nodiscard]] Result<Record> record(std::uint32_t number) const;
  // The field list of a structure's definition. kNotFound: it is no structure, or not defined.
  [[nodiscard]] Result<std::uint32_t> fields_of(std::uint32_t type) const;
  [[nodiscard]] Result<Member> find_member(std::uint32_t fields, std::string_view name) const;

  std::uint32_t first_ = 0;  // number of the first record
  std::vector<Record> records_;
  std::unordered_map<std::string_view, std::uint32_t> defined_;  // by name
};

}  // namespace swat::symbols
