// The input is target.xml and, after each NUL, the text of the next annex that is fetched.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "gdbproto/target_xml.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto next = [&rest] {
    const std::string_view text = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(text.size() + 1, rest.size()));
    return text;
  };
  const std::string_view xml = next();
  const auto target = gdbproto::TargetDescription::parse(
      xml, [&](std::string_view) -> Result<std::string> { return std::string(next()); });
  if (!target) return 0;
  const std::vector<std::byte> g(256);
  std::size_t end = 0;
  for (const gdbproto::RegisterInfo& reg : target->registers()) {
    if (reg.offset != end) std::abort();
    end += reg.size_bytes;
    if (target->value(g, reg) && end > g.size()) std::abort();
  }
  return 0;
}
