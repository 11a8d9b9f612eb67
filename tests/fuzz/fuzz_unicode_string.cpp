// A UNICODE_STRING: a byte that is odd for one of 32 bits, the address of the rest, of eight bytes,
// and that rest, which begins with the structure.
#include <cstdint>

#include "osmodels/windows/loader_list.hpp"
#include "symbols/span_load.hpp"
#include "utf8.hpp"
#include "windows_input.hpp"

namespace swat::fuzz {
namespace {

bool is_surrogate(std::uint32_t code) { return code >= 0xd800 && code < 0xe000; }

// Unit for unit: a character beyond 16 bits is a pair of surrogates, and what is in no pair is
// U+FFFD.
bool is_same_text(std::string_view utf8, std::span<const std::byte> utf16) {
  for (std::size_t at = 0; const auto unit = symbols::load<std::uint16_t>(utf16, at); at += 2) {
    const auto character = take_character(utf8);
    if (!character) return false;
    if (*character >= 0x1'0000) {
      at += 2;
      const auto low = symbols::load<std::uint16_t>(utf16, at);
      if (*unit != 0xd7c0 + (*character >> 10) || low != 0xdc00 + (*character & 0x3ff))
        return false;
    } else if (*character != (is_surrogate(*unit) ? 0xfffd : *unit)) {
      return false;
    }
  }
  return utf8.empty();
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  using namespace swat::fuzz;
  Input input(data, size);
  const unsigned word_bytes = (input.take<std::uint8_t>() & 1) != 0 ? 4 : 8;
  const Va base{input.take<std::uint64_t>()};
  const auto bytes = input.rest();
  SpanMemory memory(base, bytes);
  const auto text = os::windows::read_unicode_string(memory, base, word_bytes);
  if (!text) {
    require(text.error().code == Errc::kFault);
    return 0;
  }
  const auto length = symbols::load<std::uint16_t>(bytes, 0);
  const auto buffer = symbols::load_word(bytes, word_bytes, word_bytes);
  require(length && buffer);
  if (*length == 0) {
    require(text->empty());
    return 0;
  }
  const std::uint64_t offset = Va{*buffer} - base;
  require(symbols::holds(bytes, offset, *length));
  require(is_same_text(*text, bytes.subspan(offset, *length)));
  return 0;
}
