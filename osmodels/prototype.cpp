#include "osmodels/prototype.hpp"

#include <algorithm>
#include <optional>
#include <string>

namespace swat::os {
namespace {

struct DirectionWord {
  std::string_view word;
  Direction direction;
};
constexpr DirectionWord kDirections[] = {
    {"in", Direction::kIn}, {"out", Direction::kOut}, {"inout", Direction::kInOut}};

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// The type and, last, the name: "const RECT* Rect".
bool split_name(std::string_view text, std::string_view& type, std::string_view& name) {
  const auto at = text.rfind(' ');
  if (at == text.npos) return false;
  type = trimmed(text.substr(0, at));
  name = text.substr(at + 1);
  return !type.empty() && !name.empty();
}

// "Buffer[Length]": takes the brackets off.
bool take_size(std::string_view& text, Parameter& parameter) {
  if (!text.ends_with(']')) return true;
  const auto at = text.find('[');
  if (at == text.npos) return false;
  parameter.size_from = text.substr(at + 1, text.size() - at - 2);
  parameter.is_size_pointed_to = parameter.size_from.starts_with('*');
  if (parameter.is_size_pointed_to) parameter.size_from.remove_prefix(1);
  text = text.substr(0, at);
  return !parameter.size_from.empty();
}

Result<Parameter> parse_parameter(std::string_view text) {
  Parameter parameter;
  const auto row = std::ranges::find_if(kDirections, [&](const DirectionWord& known) {
    return text.starts_with(known.word) && text.substr(known.word.size()).starts_with(' ');
  });
  bool is_good = row != std::end(kDirections) && take_size(text, parameter);
  if (is_good) {
    parameter.direction = row->direction;
    is_good = split_name(trimmed(text.substr(row->word.size())), parameter.type, parameter.name);
  }
  if (!is_good) return fail(Errc::kBadImage, "no parameter: " + std::string(text));
  return parameter;
}

// The words before the parenthesis, and what is in it.
struct Parts {
  std::string_view head;
  std::string_view parameters;
};

std::optional<Parts> split_parts(std::string_view line) {
  const auto open = line.find('(');
  if (open == line.npos || !line.ends_with(')')) return {};
  return Parts{trimmed(line.substr(0, open)), line.substr(open + 1, line.size() - open - 2)};
}

}  // namespace

std::string_view to_string(Direction direction) {
  return std::ranges::find(kDirections, direction, &DirectionWord::direction)->word;
}

std::size_t Prototype::find(std::string_view parameter) const {
  const auto found = std::ranges::find(parameters, parameter, &Parameter::name);
  return static_cast<std::size_t>(found - parameters.begin());
}

Result<Prototype> parse_prototype(std::string_view line) {
  Prototype prototype;
  const auto parts = split_parts(trimmed(line));
  if (!parts || !split_name(parts->head, prototype.result, prototype.name)) {
    return fail(Errc::kBadImage, "no prototype: " + std::string(line));
  }
  std::string_view rest = trimmed(parts->parameters);
  while (!rest.empty()) {
    const auto comma = rest.find(',');
    prototype.parameters.push_back(SWAT_TRY(parse_parameter(trimmed(rest.substr(0, comma)))));
    rest = comma == rest.npos ? std::string_view{} : trimmed(rest.substr(comma + 1));
  }
  return prototype;
}

void PrototypeTable::add(std::span<const std::string_view> lines) {
  for (const std::string_view line : lines) {
    const std::string_view head = trimmed(line.substr(0, line.find('(')));
    rows_.insert_or_assign(head.substr(head.rfind(' ') + 1), Row{line, nullptr});
  }
}

const Prototype* PrototypeTable::find(std::string_view name) {
  const auto found = rows_.find(name);
  if (found == rows_.end()) return nullptr;
  Row& row = found->second;
  if (row.parsed == nullptr) {
    auto parsed = parse_prototype(row.line);
    if (!parsed) return nullptr;
    row.parsed = std::make_unique<const Prototype>(*std::move(parsed));
  }
  return row.parsed.get();
}

}  // namespace swat::os
