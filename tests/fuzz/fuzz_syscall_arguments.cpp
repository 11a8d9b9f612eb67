// What a system call of Windows was called with: a byte that is odd for a caller of 32 bits, the
// number of a prototype, of two, what the call returned and the words that were passed, of eight
// each (one that is ~0 could not be read); the rest is memory.
#include <array>
#include <cstdint>

#include "osmodels/windows/syscall_arguments.hpp"
#include "utf8.hpp"
#include "windows_input.hpp"

namespace swat::fuzz {
namespace {

constexpr std::string_view kLines[] = {
#include "osmodels/windows/syscall_prototypes.inc"
};
constexpr std::size_t kWords = 10;

class MemoryOfCaller final : public VirtualMemory {
 public:
  explicit MemoryOfCaller(VirtualMemory& memory) : memory_(memory) {}
  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    return memory_.read(at, into);
  }

 private:
  VirtualMemory& memory_;
};

os::windows::SyscallArguments& decoder(VirtualMemory& memory) {
  static VirtualMemory* current = nullptr;
  current = &memory;
  static os::windows::SyscallArguments decoder(
      [](const os::Process&) { return std::make_unique<MemoryOfCaller>(*current); },
      [](const os::Process&, std::uint64_t handle) {
        return handle % 8 == 4 ? std::string("Event \\x") : std::string();
      });
  return decoder;
}

void check(const std::vector<os::Argument>& arguments) {
  constexpr std::size_t kLongest = 8192;
  for (const os::Argument& argument : arguments) {
    require(argument.text.empty() == !argument.word);
    require(argument.text.size() <= kLongest && is_utf8(argument.text));
    for (const char c : argument.text) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  using namespace swat::fuzz;
  static InputRam ram(InputRam::Others::kAreMissing);
  Input input(data, size);
  const unsigned word_bytes = (input.take<std::uint8_t>() & 1) != 0 ? 4 : 8;
  const auto line = kLines[input.take<std::uint16_t>() % std::size(kLines)];
  const auto result = input.take<std::uint64_t>();
  std::array<std::optional<std::uint64_t>, kWords> words;
  for (auto& word : words) {
    const auto value = input.take<std::uint64_t>();
    if (value != ~std::uint64_t{0}) word = word_bytes == 8 ? value : value & 0xffff'ffff;
  }
  ram.load(input);
  LowMemory memory(ram);
  os::windows::SyscallArguments& arguments = decoder(memory);
  const auto parsed = os::parse_prototype(line);
  require(parsed.has_value());
  const os::Prototype* const prototype = arguments.prototype(parsed->name);
  require(prototype != nullptr);
  const os::Process caller;
  const os::CallToDecode call{caller, word_bytes, *prototype, words};
  const auto at_entry = arguments.at_entry(call);
  require(at_entry.size() == prototype->parameters.size());
  check(at_entry);
  const auto at_return = arguments.at_return(call, result);
  require(at_return.size() <= at_entry.size());
  check(at_return);
  return 0;
}
