#include "osmodels/arm/entry_path.hpp"

#include <algorithm>

#include "osmodels/arm/code.hpp"

namespace swat::os::arm {
namespace {

constexpr std::size_t kMostInstructions = 160;
constexpr std::uint32_t kCondition = 0xf0000000;

// B, taken whatever the flags are.
std::optional<Va> jump_of(const Instruction& instruction) {
  if (instruction.bits >> 24 != 0xea) return {};
  const auto words = static_cast<std::int32_t>(instruction.bits << 8) >> 8;
  return instruction.pc() + static_cast<std::uint64_t>(std::int64_t{words} * 4);
}

bool is_call(const Instruction& instruction) { return (instruction.bits >> 24 & 15) == 11; }

Va literal_of(const Instruction& instruction, const Load& load) {
  return instruction.pc() + static_cast<std::uint64_t>(load.offset);
}

class EntryReader {
 public:
  EntryReader(VirtualMemory& kernel, Va entry) : kernel_(kernel), entry_(entry) {}

  Result<EntryPath> read() {
    Va at = entry_;
    std::size_t left = kMostInstructions;
    for (; left > 0 && at != found_.table; --left) {
      const Instruction instruction = SWAT_TRY(fetch(kernel_, at, false));
      look_at(instruction);
      // Backwards lies what has been seen.
      const auto jump = jump_of(instruction);
      const bool goes_on = jump && !has_table() && *jump > at && *jump - at < kFarthestJump;
      at = goes_on ? *jump : instruction.next();
    }
    return std::move(found_);
  }

 private:
  static constexpr std::uint64_t kFarthestJump = 256;  // bytes

  [[nodiscard]] bool has_table() const { return found_.table.has_value(); }

  void look_at(const Instruction& instruction) {
    calls_ = calls_ || is_call(instruction);
    if (const auto load = load_of(instruction)) look_at(instruction, *load);
    const auto sum = arithmetic_of(instruction);
    // `adr` of the table; what comes before it is not relative to pc, what comes behind is `lr`.
    if (sum && sum->from == kPc && sum->to != kLr && !has_table()) {
      found_.table = Va{(instruction.pc().value + sum->amount) & 0xffffffff};
    }
    // CMP (immediate): the last one before a load from the table is of the number.
    constexpr std::uint32_t kCompare = 0x03500000;
    if ((instruction.bits & ~kCondition & 0x0ff0f000) == kCompare) compared_ = instruction.bits;
  }

  void look_at(const Instruction& instruction, const Load& load) {
    const bool is_plain = !load.index && !load.writes_back;
    if (load.to == kPc && load.index && load.index_shift == 2 && load.base != kPc) {
      found_.loads.push_back({instruction.at, load.base, *load.index, instruction.condition()});
      if (found_.count == 0) found_.count = immediate(compared_);
    } else if (is_plain && load.base == kPc) {
      look_at_literal(instruction, load);
    } else if (is_plain && load.offset == -4 && (load.base == kLr || load.base == kSavedPc)) {
      found_.looks_at_instruction = true;
    }
  }

  void look_at_literal(const Instruction& instruction, const Load& load) {
    constexpr unsigned kFirstFree = 8;  // r0 to r7 are the caller's
    const bool is_free = load.to >= kFirstFree && load.to < kSp;
    if (instruction.condition() == kAlways && is_free && !calls_ && !found_.literal) {
      found_.literal = {instruction.at, literal_of(instruction, load)};
    }
    constexpr unsigned kNotEqual = 1;
    if (instruction.condition() != kNotEqual || !has_table()) return;
    const auto table = read_as<std::uint32_t>(kernel_, literal_of(instruction, load));
    if (table) found_.oabi_table = Va{*table};
  }

  static std::uint32_t immediate(std::uint32_t bits) {
    const unsigned by = (bits >> 8 & 15) * 2;
    const std::uint32_t value = bits & 0xff;
    return by == 0 ? value : value >> by | value << (32 - by);
  }

  // Of kernels that call C code first: lr is lost then. [entry-header.S, saved_pc]
  static constexpr unsigned kSavedPc = 9;

  VirtualMemory& kernel_;
  Va entry_;
  EntryPath found_;
  bool calls_ = false;  // what follows a call of C code finds r0 to r3 changed
  std::uint32_t compared_ = 0;
};

}  // namespace

Result<EntryPath> read_entry_path(VirtualMemory& kernel, Va entry) {
  return EntryReader(kernel, entry).read();
}

std::optional<std::uint64_t> number_in_instruction(VirtualMemory& user, Va next) {
  constexpr std::uint32_t kNumber = 0x00ffffff;
  if (next.value % 4 != 0) return {};  // Thumb
  const auto word = read_as<std::uint32_t>(user, next - 4);
  if (!word || (*word >> 24 & 15) != 15) return {};
  // Thumb's `svc` in the upper half. `svcle` would look the same; nobody has one.
  if (*word >> 24 == 0xdf) return {};
  const std::uint32_t number = *word & kNumber;
  if (number == 0) return {};
  return (number ^ kOabiBase) + kOabiBase;
}

}  // namespace swat::os::arm
