#include "osmodels/windows/syscall_arguments.hpp"

#include <algorithm>
#include <utility>

#include "osmodels/quoted.hpp"
#include "osmodels/windows/constants.hpp"
#include "osmodels/windows/loader_list.hpp"
#include "osmodels/windows/processes.hpp"
#include "symbols/hex.hpp"

namespace swat::os::windows {
namespace {

using symbols::hex;

constexpr std::string_view kPrototypes[] = {
#include "osmodels/windows/syscall_prototypes.inc"
};

constexpr std::size_t kLongestName = 1024;  // of a file or key, bytes of UTF-8

// One parameter of one call, and where its text comes from.
struct Look {
  const CallToDecode& call;
  const Parameter& parameter;
  VirtualMemory& memory;
  const SyscallArguments::DescribeHandle& describe_handle;
  bool is_return;

  [[nodiscard]] unsigned word_bytes() const { return call.word_bytes; }
  [[nodiscard]] Result<std::uint64_t> word(std::uint64_t at) const {
    return read_pointer(memory, Va{at}, call.word_bytes);
  }
};

// --- How values look, by their type. None: it cannot be read.

using Text = Result<std::string>;

Text show_unsigned(const Look&, std::uint64_t value) { return std::to_string(value); }

Text show_signed(const Look&, std::uint64_t value) {
  return std::to_string(static_cast<std::int64_t>(value));
}

Text show_int32(const Look&, std::uint64_t value) {
  return std::to_string(static_cast<std::int32_t>(value));
}

Text show_hex(const Look&, std::uint64_t value) { return value == 0 ? "0" : hex(value); }

Text show_boolean(const Look&, std::uint64_t value) {
  if (value > 1) return std::to_string(value);
  return value == 0 ? "FALSE" : "TRUE";
}

Text show_status(const Look&, std::uint64_t value) {
  const std::string_view name = ntstatus_name(value);
  return name.empty() ? hex(value) : std::string(name);
}

Text show_access(const Look& look, std::uint64_t value) {
  return name_access(look.call.prototype.name, value);
}

// What needs no handle has numbers below 0. [NtCurrentProcess and its kin, phnt]
Text show_handle(const Look& look, std::uint64_t value) {
  constexpr std::string_view kPseudo[] = {
      "NtCurrentProcess()",      "NtCurrentThread()",      "NtCurrentSession()",
      "NtCurrentProcessToken()", "NtCurrentThreadToken()", "NtCurrentThreadEffectiveToken()"};
  if (value == 0) return "NULL";
  const std::uint64_t mask = look.word_bytes() == 8 ? ~std::uint64_t{0} : 0xffffffff;
  const std::uint64_t below = (~value & mask);
  if (below < std::size(kPseudo)) return std::string(kPseudo[below]);
  const std::string what = look.describe_handle(look.call.caller, value);
  return what.empty() ? hex(value) : hex(value) + "<" + what + ">";
}

// Its length comes from the caller, which is why it is cut before it is shown.
Text show_unicode_string(const Look& look, std::uint64_t at) {
  return quoted_text(SWAT_TRY(read_unicode_string(look.memory, Va{at}, look.word_bytes())),
                     kLongestName);
}

// Length, RootDirectory, ObjectName, Attributes, and what nobody asks for.
Text show_object_attributes(const Look& look, std::uint64_t at) {
  const unsigned word = look.word_bytes();
  const auto root = SWAT_TRY(look.word(at + word));
  const auto name_at = SWAT_TRY(look.word(at + std::uint64_t{2} * word));
  const auto flags =
      SWAT_TRY(read_as<std::uint32_t>(look.memory, Va{at + std::uint64_t{3} * word}));
  std::string text = "{";
  if (root != 0) text += "RootDirectory=" + SWAT_TRY(show_handle(look, root)) + ", ";
  text += "ObjectName=";
  text += name_at == 0 ? "NULL" : show_unicode_string(look, name_at).value_or(hex(name_at));
  const ConstantSet* const set = find_constants({}, {}, "OBJECT_ATTRIBUTES");
  return text + ", Attributes=" + name_constants(*set, flags) + "}";
}

Text show_io_status(const Look& look, std::uint64_t at) {
  const auto status = SWAT_TRY(read_as<std::uint32_t>(look.memory, Va{at}));
  const auto information = SWAT_TRY(look.word(at + look.word_bytes()));
  return "{Status=" + SWAT_TRY(show_status(look, status)) +
         ", Information=" + std::to_string(information) + "}";
}

Text show_client_id(const Look& look, std::uint64_t at) {
  const auto process = SWAT_TRY(look.word(at));
  const auto thread = SWAT_TRY(look.word(at + look.word_bytes()));
  return "{UniqueProcess=" + std::to_string(process) + ", UniqueThread=" + std::to_string(thread) +
         "}";
}

// --- Types

using Show = Text (*)(const Look& look, std::uint64_t value);

struct Type {
  std::string_view name;
  std::uint8_t bytes;  // 0: a word
  Show show;
};

// Numbers, and what is one.
constexpr Type kTypes[] = {
    {"ACCESS_MASK", 4, show_access},
    {"BOOL", 4, show_boolean},
    {"BOOLEAN", 1, show_boolean},
    {"BYTE", 1, show_unsigned},
    {"DWORD", 4, show_unsigned},
    {"HANDLE", 0, show_handle},
    {"KAFFINITY", 0, show_hex},
    {"LARGE_INTEGER", 8, show_signed},
    {"LOGICAL", 4, show_boolean},
    {"LONG", 4, show_int32},
    {"NTSTATUS", 4, show_status},
    {"POINT", 8, show_hex},
    {"PVOID", 0, show_hex},
    {"SIZE_T", 0, show_unsigned},
    {"ULARGE_INTEGER", 8, show_unsigned},
    {"ULONG", 4, show_unsigned},
    {"ULONG64", 8, show_unsigned},
    {"ULONGLONG", 8, show_unsigned},
    {"ULONG_PTR", 0, show_hex},
    {"USHORT", 2, show_unsigned},
    {"WORD", 2, show_unsigned},
    {"int", 4, show_int32},
    {"LANGID", 2, show_hex},
    {"LCID", 4, show_hex},
    {"RTL_ATOM", 2, show_hex},
    {"ALPC_HANDLE", 0, show_hex},
};

// Structures, where a pointer to them is passed.
constexpr Type kStructures[] = {
    {"CLIENT_ID", 0, show_client_id},
    {"IO_STATUS_BLOCK", 0, show_io_status},
    {"OBJECT_ATTRIBUTES", 0, show_object_attributes},
    {"UNICODE_STRING", 0, show_unicode_string},
};

const Type* find(std::span<const Type> types, std::string_view name) {
  const auto found = std::ranges::find(types, name, &Type::name);
  return found == types.end() ? nullptr : &*found;
}

std::string_view without(std::string_view text, std::string_view prefix) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

// What a type points to: "PULONG", "PCUNICODE_STRING", "HANDLE*"; "": it is no pointer.
std::string_view pointee(std::string_view type) {
  if (find(kTypes, type) != nullptr) return {};
  if (type.ends_with('*')) {
    return without(without(type.substr(0, type.size() - 1), "volatile "), "const ");
  }
  for (const std::string_view prefix : {"PC", "P"}) {
    const std::string_view rest = without(type, prefix);
    if (rest.size() == type.size()) continue;
    if (find(kTypes, rest) != nullptr || find(kStructures, rest) != nullptr) return rest;
  }
  return {};
}

// Of what is passed; enumerations and the like have an int's.
unsigned bytes_of(std::string_view type, unsigned word_bytes) {
  if (const Type* const known = find(kTypes, type)) {
    return known->bytes == 0 ? word_bytes : known->bytes;
  }
  const bool is_enumeration = type.ends_with("_CLASS") || type.ends_with("INFOCLASS") ||
                              find_constants({}, {}, type) != nullptr;
  return is_enumeration ? sizeof(std::uint32_t) : word_bytes;
}

std::uint64_t narrowed(std::uint64_t value, unsigned bytes) {
  constexpr unsigned kByteBits = 8;
  return bytes >= sizeof(value) ? value : value & ((std::uint64_t{1} << bytes * kByteBits) - 1);
}

std::size_t words_of(std::string_view type, unsigned word_bytes) {
  return bytes_of(type, word_bytes) > word_bytes ? 2 : 1;
}

// A number of that type.
Text show_value(const Look& look, std::string_view type, std::uint64_t value) {
  value = narrowed(value, bytes_of(type, look.word_bytes()));
  const Parameter& parameter = look.parameter;
  const ConstantSet* const set =
      find_constants(look.call.prototype.name, parameter.name, parameter.type);
  if (set != nullptr) return name_constants(*set, value);
  const Type* const known = find(kTypes, type);
  return known == nullptr ? show_hex(look, value) : known->show(look, value);
}

// --- Buffers

// What a parameter says that tells a size; none: it cannot be read.
std::optional<std::uint64_t> size_told_by(const Look& look, std::string_view name,
                                          bool is_pointer) {
  std::size_t at = 0;
  for (const Parameter& parameter : look.call.prototype.parameters) {
    if (parameter.name == name) {
      if (at >= look.call.words.size() || !look.call.words[at]) return {};
      const std::uint64_t value = *look.call.words[at];
      const std::string_view type = is_pointer ? pointee(parameter.type) : parameter.type;
      const unsigned bytes = bytes_of(type, look.word_bytes());
      if (!is_pointer) return narrowed(value, bytes);
      const auto read = read_pointer(look.memory, Va{value}, bytes);
      return read ? std::optional(*read) : std::nullopt;
    }
    at += words_of(parameter.type, look.word_bytes());
  }
  return {};
}

// Of a read that has ended the block of its status tells how much it was.
std::optional<std::uint64_t> size_of_transfer(const Look& look) {
  const auto& parameters = look.call.prototype.parameters;
  const auto block = std::ranges::find(parameters, "PIO_STATUS_BLOCK", &Parameter::type);
  if (!look.is_return || block == parameters.end()) return {};
  const auto at = static_cast<std::size_t>(block - parameters.begin());
  if (at >= look.call.words.size() || !look.call.words[at]) return {};
  const auto information = look.word(*look.call.words[at] + look.word_bytes());
  return information ? std::optional(*information) : std::nullopt;
}

Text show_buffer(const Look& look, std::uint64_t at) {
  const Parameter& parameter = look.parameter;
  auto size = size_told_by(look, parameter.size_from, parameter.is_size_pointed_to);
  if (!size) return fail(Errc::kNotFound, "no size", at);
  if (const auto moved = size_of_transfer(look)) size = std::min(*size, *moved);
  // One more than is shown tells that there is more.
  const std::size_t shown = std::min<std::uint64_t>(*size, kUsualQuote + 1);
  return quoted(SWAT_TRY(read_bytes(look.memory, Va{at}, shown)));
}

// --- Arguments

Text show_pointed_to(const Look& look, std::string_view type, std::uint64_t at) {
  if (const Type* const structure = find(kStructures, type)) return structure->show(look, at);
  const unsigned bytes = bytes_of(type, look.word_bytes());
  std::uint64_t value = 0;
  SWAT_CHECK(look.memory.read(Va{at}, std::as_writable_bytes(std::span(&value, 1)).first(bytes)));
  return "[" + SWAT_TRY(show_value(look, type, value)) + "]";
}

std::string show(const Look& look, std::uint64_t word) {
  const Parameter& parameter = look.parameter;
  const std::string_view target = pointee(parameter.type);
  const bool is_buffer = !parameter.size_from.empty();
  std::string plain = (is_buffer || !target.empty()) && word == 0 ? "NULL" : hex(word);
  if (target.empty() && !is_buffer) return show_value(look, parameter.type, word).value_or(plain);
  const bool is_written_yet = look.is_return || parameter.direction != Direction::kOut;
  if (word == 0 || !is_written_yet) return plain;
  const Text text = is_buffer ? show_buffer(look, word) : show_pointed_to(look, target, word);
  return text.value_or(plain);
}

// Errors, and what is still going on, leave alone what was to be written.
bool has_written(std::string_view type, std::uint64_t result) {
  constexpr std::uint64_t kPending = 0x103;
  constexpr unsigned kSeverityShift = 30;
  constexpr std::uint64_t kError = 3;
  const std::uint64_t status = result & 0xffffffff;
  return type != "NTSTATUS" || (status != kPending && status >> kSeverityShift != kError);
}

}  // namespace

SyscallArguments::SyscallArguments(MemoryOf memory_of, DescribeHandle describe_handle)
    : memory_of_(std::move(memory_of)), describe_handle_(std::move(describe_handle)) {
  prototypes_.add(kPrototypes);
}

std::size_t SyscallArguments::word_count(const Prototype& prototype, unsigned word_bytes) const {
  std::size_t count = 0;
  for (const Parameter& parameter : prototype.parameters) {
    count += words_of(parameter.type, word_bytes);
  }
  return count;
}

std::vector<Argument> SyscallArguments::at_entry(const CallToDecode& call) {
  return decode(call, false, [](const Parameter&) { return true; });
}

std::vector<Argument> SyscallArguments::at_return(const CallToDecode& call, std::uint64_t result) {
  return decode(call, has_written(call.prototype.result, result),
                [](const Parameter& parameter) { return parameter.direction != Direction::kIn; });
}

std::vector<Argument> SyscallArguments::decode(
    const CallToDecode& call, bool is_written,
    const std::function<bool(const Parameter&)>& is_wanted) const {
  std::vector<Argument> arguments;
  const auto memory = memory_of_(call.caller);
  std::size_t at = 0;
  for (const Parameter& parameter : call.prototype.parameters) {
    const std::size_t first = std::exchange(at, at + words_of(parameter.type, call.word_bytes));
    if (!is_wanted(parameter)) continue;
    Argument& argument = arguments.emplace_back(Argument{parameter, {}, {}});
    if (at > call.words.size() || !call.words[first]) continue;
    argument.word = call.words[first];
    if (at - first == 2 && call.words[first + 1]) {
      constexpr unsigned kWordBits = 32;
      *argument.word |= *call.words[first + 1] << kWordBits;
    }
    const Look look{call, parameter, *memory, describe_handle_, is_written};
    argument.text = show(look, *argument.word);
  }
  return arguments;
}

std::uint64_t SyscallArguments::result_of(std::string_view type, std::uint64_t word) const {
  return narrowed(word, bytes_of(type, sizeof(word)));
}

std::string_view SyscallArguments::result_name(std::string_view type, std::uint64_t result) {
  return type == "NTSTATUS" ? ntstatus_name(result) : std::string_view{};
}

}  // namespace swat::os::windows
