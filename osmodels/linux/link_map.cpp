#include "osmodels/linux/link_map.hpp"

#include <array>

namespace swat::os {
namespace {

constexpr std::size_t kMostModules = 1024;
constexpr std::size_t kLongestPath = 4096;  // PATH_MAX

// The word `index` words behind `at`; 0: it is not there.
Va word_at(VirtualMemory& memory, Va at, std::size_t index, unsigned word_bytes) {
  std::uint64_t value = 0;
  const auto into = std::as_writable_bytes(std::span(&value, 1)).first(word_bytes);
  return memory.read(at + index * word_bytes, into) ? Va{value} : Va{};
}

}  // namespace

LinkMap read_link_map(VirtualMemory& memory, const symbols::ElfImage& program) {
  LinkMap names;
  const unsigned word = program.is_64_bit() ? 8 : 4;
  const auto debug = program.debug(memory);
  if (!debug || debug->is_null()) return names;
  Va entry = word_at(memory, *debug, 1, word);
  for (std::size_t i = 0; i < kMostModules && !entry.is_null(); ++i) {
    const Va name = word_at(memory, entry, 1, word);
    const Va dynamic = word_at(memory, entry, 2, word);
    auto text = read_c_string(memory, name, kLongestPath);
    if (text && !text->empty()) names.emplace(dynamic, *std::move(text));
    entry = word_at(memory, entry, 3, word);
  }
  return names;
}

}  // namespace swat::os
