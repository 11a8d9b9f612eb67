// What functions and system calls take, a line of text each, as a programmer would write it:
//
//   NTSTATUS NtReadFile(in HANDLE FileHandle, ..., out PVOID Buffer[Length], in ULONG Length, ...)
//
// Directions are those of Windows' annotations: "out" is written by the callee, "inout" read and
// written. Behind a buffer's name stands the parameter that tells its size in bytes; "*" before
// that: where it points to, once the callee is done.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "symbols/result.hpp"

namespace swat::os {

enum class Direction : std::uint8_t { kIn, kOut, kInOut };
[[nodiscard]] std::string_view to_string(Direction direction);  // "in", "out", "inout"

struct Parameter {
  Direction direction = Direction::kIn;
  std::string_view type;  // "HANDLE", "const RECT*"
  std::string_view name;
  std::string_view size_from = {};  // the parameter that tells the buffer's bytes; "": none does
  bool is_size_pointed_to = false;  // that one is a pointer to the number

  friend bool operator==(const Parameter&, const Parameter&) = default;
};

struct Prototype {
  std::string_view result;  // type
  std::string_view name;
  std::vector<Parameter> parameters;

  // Position of the parameter of that name; parameters.size(): there is none.
  [[nodiscard]] std::size_t find(std::string_view parameter) const;
};

// All views are into `line`, which outlives the prototype. kBadImage: it is none.
[[nodiscard]] Result<Prototype> parse_prototype(std::string_view line);

// Lines that are parsed when they are asked for.
class PrototypeTable {
 public:
  // All of it outlives this. Of a name that is there twice the last line holds.
  void add(std::span<const std::string_view> lines);
  // Null: not known, or the line is no prototype. Stays where it is while this lives.
  [[nodiscard]] const Prototype* find(std::string_view name);

 private:
  struct Row {
    std::string_view line;
    std::unique_ptr<const Prototype> parsed;
  };
  std::unordered_map<std::string_view, Row> rows_;
};

}  // namespace swat::os
