#include "daemon/isf_members.hpp"

#include <algorithm>
#include <cctype>
#include <limits>
#include <nlohmann/json.hpp>

namespace swat::daemon {
namespace {

using Json = nlohmann::json;
using symbols::MemberProfile;

// Null: `object` is none, or has no such part.
const Json* part(const Json* object, std::string_view name) {
  if (object == nullptr || !object->is_object()) return nullptr;
  const auto found = object->find(name);
  return found == object->end() ? nullptr : &*found;
}

const std::string* text_of(const Json* value) {
  return value == nullptr ? nullptr : value->get_ptr<const std::string*>();
}

template <class T>
std::optional<T> number_of(const Json* value) {
  if (value == nullptr || !value->is_number_unsigned()) return {};
  const auto number = value->get<std::uint64_t>();
  if (number > std::numeric_limits<T>::max()) return {};
  return static_cast<T>(number);
}

// Volatility writes capitals; dashes and braces are what others put in.
std::string plain_guid(std::string_view guid) {
  std::string plain;
  for (const char c : guid) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isxdigit(byte) != 0) plain += static_cast<char>(std::tolower(byte));
  }
  return plain;
}

Result<> read_id(const Json& isf, MemberProfile& profile) {
  const Json* const windows = part(part(&isf, "metadata"), "windows");
  if (windows == nullptr) {
    return fail(Errc::kUnsupported, "a symbol table that is not of a Windows kernel");
  }
  const Json* const pdb = part(windows, "pdb");
  const std::string* const guid = text_of(part(pdb, "GUID"));
  const std::string* const database = text_of(part(pdb, "database"));
  const auto age = number_of<std::uint32_t>(part(pdb, "age"));
  const auto machine = number_of<std::uint16_t>(part(pdb, "machine_type"));
  if (guid == nullptr || database == nullptr || !age || !machine) {
    return fail(Errc::kBadImage, "a symbol table that says of no PDB that it is made from it");
  }
  profile.id = {plain_guid(*guid), *age, *database};
  profile.machine = *machine;
  return {};
}

// By "_KPCR.Prcb.CurrentThread"; nullopt: there is no such structure, or no such member.
std::optional<std::uint32_t> offset_of(const Json& types, std::string_view path) {
  std::size_t dot = path.find('.');
  std::string structure(path.substr(0, dot));
  std::uint64_t offset = 0;
  while (dot != path.npos) {
    const std::size_t start = dot + 1;
    dot = path.find('.', start);
    const Json* const field = part(part(part(&types, structure), "fields"),
                                   path.substr(start, dot == path.npos ? path.npos : dot - start));
    const auto at = number_of<std::uint32_t>(part(field, "offset"));
    if (!at) return {};
    offset += *at;
    if (dot == path.npos) break;
    const Json* const type = part(field, "type");
    const std::string* const kind = text_of(part(type, "kind"));
    const std::string* const name = text_of(part(type, "name"));
    if (kind == nullptr || name == nullptr || (*kind != "struct" && *kind != "union")) return {};
    structure = *name;
  }
  if (offset > std::numeric_limits<std::uint32_t>::max()) return {};
  return static_cast<std::uint32_t>(offset);
}

}  // namespace

Result<MemberProfile> read_isf_members(std::string_view text, symbols::MemberNames wanted) {
  constexpr bool kThrows = false;
  const Json isf = Json::parse(text, nullptr, kThrows);
  const Json* const types = part(&isf, "user_types");
  if (types == nullptr) return fail(Errc::kBadImage, "no symbol table of Volatility 3");
  MemberProfile profile;
  SWAT_CHECK(read_id(isf, profile));
  for (const std::string_view name : wanted) {
    if (const auto offset = offset_of(*types, name)) profile.offsets.emplace(name, *offset);
  }
  return profile;
}

}  // namespace swat::daemon
