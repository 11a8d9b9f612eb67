#include "osmodels/aarch64/entry_task.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <optional>

#include "osmodels/aarch64/code.hpp"

namespace swat::os::aarch64 {
namespace {

constexpr std::size_t kInstruction = kInstructionBytes;

std::uint32_t word_at(const symbols::KernelImage& image, std::size_t at) {
  std::uint32_t word = 0;
  std::memcpy(&word, image.bytes.data() + at, sizeof(word));
  return word;
}

// Encodings: [Arm ARM DDI 0487, C6.2: MSR (register), LDR (register)]
bool is_msr_sp_el0(std::uint32_t word, std::uint32_t reg) { return word == (0xd5184100 | reg); }

bool is_ldr_relative(std::uint32_t word, std::uint32_t reg) {
  return (word & 0xffe0ffff) == (0xf8606800 | reg << 5 | reg);
}

// What `adrp x, ..; add x, x, #..` before `end` gives; other instructions may stand between.
std::optional<std::uint64_t> address_before(const symbols::KernelImage& image, std::size_t end,
                                            std::uint32_t reg) {
  constexpr std::size_t kWithin = 6 * kInstruction;
  std::optional<std::uint64_t> offset;
  for (std::size_t back = kInstruction; back <= kWithin && back <= end; back += kInstruction) {
    const std::uint32_t word = word_at(image, end - back);
    const auto add = add_of(word);
    if (add && add->to == reg && add->from == reg) offset = add->amount;
    const auto page = adrp_of(word, image.address_of(end - back));
    if (!page || page->to != reg) continue;
    if (!offset) return {};
    return (page->page + *offset).value;
  }
  return {};
}

}  // namespace

std::vector<std::uint64_t> entry_task_slots(const symbols::KernelImage& image) {
  std::map<std::uint64_t, std::size_t> counts;
  for (std::size_t at = kInstruction; at + kInstruction <= image.bytes.size(); at += kInstruction) {
    const std::uint32_t word = word_at(image, at);
    const std::uint32_t reg = word & 0x1f;
    if (!is_msr_sp_el0(word, reg) || !is_ldr_relative(word_at(image, at - kInstruction), reg)) {
      continue;
    }
    if (const auto slot = address_before(image, at - kInstruction, reg)) ++counts[*slot];
  }
  std::vector<std::pair<std::size_t, std::uint64_t>> ranked;
  ranked.reserve(counts.size());
  for (const auto& [slot, count] : counts) ranked.emplace_back(count, slot);
  std::ranges::sort(ranked, std::greater{});
  std::vector<std::uint64_t> slots;
  slots.reserve(ranked.size());
  for (const auto& [count, slot] : ranked) slots.push_back(slot);
  return slots;
}

}  // namespace swat::os::aarch64
