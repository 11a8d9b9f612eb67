#include "osmodels/quoted.hpp"

#include <algorithm>
#include <array>

#include "symbols/span_load.hpp"

namespace swat::os {
namespace {

struct Escape {
  char c;
  char letter;
};
constexpr Escape kEscapes[] = {{'"', '"'},  {'\\', '\\'}, {'\n', 'n'}, {'\t', 't'},
                               {'\r', 'r'}, {'\v', 'v'},  {'\f', 'f'}};

bool is_octal_digit(char c) { return c >= '0' && c <= '7'; }

// With as few digits as `next` allows.
void put_octal(unsigned char c, char next, std::string& out) {
  constexpr unsigned kDigitBits = 3;
  constexpr unsigned kDigitMask = 7;
  std::array<char, 3> digits{};
  for (std::size_t i = digits.size(); i-- > 0; c = static_cast<unsigned char>(c >> kDigitBits)) {
    digits[i] = static_cast<char>('0' + (c & kDigitMask));
  }
  const char* const first = is_octal_digit(next)
                                ? digits.data()
                                : std::find_if(digits.data(), digits.data() + digits.size() - 1,
                                               [](char digit) { return digit != '0'; });
  out += '\\';
  out.append(first, static_cast<const char*>(digits.data() + digits.size()));
}

void put(std::string_view text, std::size_t at, bool keeps_utf8, std::string& out) {
  constexpr unsigned char kAsciiEnd = 0x7f;
  const char c = text[at];
  const auto code = static_cast<unsigned char>(c);
  const auto* const escape = std::ranges::find(kEscapes, c, &Escape::c);
  if (escape != std::end(kEscapes)) {
    out += '\\';
    out += escape->letter;
  } else if ((code >= ' ' && code < kAsciiEnd) || (keeps_utf8 && code > kAsciiEnd)) {
    out += c;
  } else {
    put_octal(code, at + 1 < text.size() ? text[at + 1] : '\0', out);
  }
}

std::string in_quotes(std::string_view text, std::size_t most, bool keeps_utf8) {
  const bool is_cut = text.size() > most;
  const std::string_view shown = text.substr(0, most);
  std::string out = "\"";
  for (std::size_t at = 0; at < shown.size(); ++at) put(shown, at, keeps_utf8, out);
  out += is_cut ? "\"..." : "\"";
  return out;
}

}  // namespace

std::string quoted(std::span<const std::byte> bytes, std::size_t most) {
  return in_quotes(symbols::as_text(bytes), most, false);
}

std::string quoted_text(std::string_view utf8, std::size_t most) {
  constexpr unsigned char kKindMask = 0xc0;
  constexpr unsigned char kContinues = 0x80;
  std::size_t end = std::min(most, utf8.size());
  while (end > 0 && end < utf8.size() &&
         (static_cast<unsigned char>(utf8[end]) & kKindMask) == kContinues) {
    --end;
  }
  return in_quotes(utf8, end, true);
}

}  // namespace swat::os
