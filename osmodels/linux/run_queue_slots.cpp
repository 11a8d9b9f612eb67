#include "osmodels/linux/run_queue_slots.hpp"

#include <algorithm>

namespace swat::os {
namespace {

constexpr std::size_t kChunk = 4096;
using Word = std::uint32_t;

// The words from `at` on, zero where nothing is mapped.
std::vector<Word> words_at(VirtualMemory& kernel, Va at, std::size_t size_bytes) {
  std::vector<Word> words(size_bytes / sizeof(Word));
  const std::span<std::byte> bytes = std::as_writable_bytes(std::span(words));
  for (std::size_t done = 0; done < bytes.size(); done += kChunk) {
    const auto piece = bytes.subspan(done, std::min(kChunk, bytes.size() - done));
    const Va from{(at.value + done) & 0xffffffff};
    if (!kernel.read(from, piece)) std::ranges::fill(piece, std::byte{0});
  }
  return words;
}

std::vector<Word> words_of(std::span<const std::byte> image) {
  std::vector<Word> words(image.size() / sizeof(Word));
  std::ranges::copy(image.first(words.size() * sizeof(Word)),
                    std::as_writable_bytes(std::span(words)).begin());
  return words;
}

// From `curr` to `idle`, in words: dl_server lies between them in 6.12. [commit 63ba8422f876]
constexpr std::size_t kIdleAt[] = {1, 2};
constexpr std::size_t kWindow = 6;

class RunQueueSearch {
 public:
  explicit RunQueueSearch(const CurrentTaskInput& input) : input_(input) {}

  // 0: `window`, which begins with what would be `curr`, is of no run queue; more is better.
  int score(std::span<const Word> window) {
    int best = 0;
    for (const std::size_t idle : kIdleAt) best = std::max(best, score(window, idle));
    return best;
  }

 private:
  int score(std::span<const Word> window, std::size_t idle) {
    if (window[idle] != input_.init_task.value || !is_task(window[0])) return 0;
    const auto& layout = input_.profile.layout;
    const Word stop = window[idle + 1];
    const bool has_stop = stop == 0 || (is_task(stop) && is_named(stop));
    const std::size_t balance = idle + (has_stop ? 2 : 1);
    // A time in ticks, close to neither 0 nor an address of anything; unless nothing balances.
    const bool is_time = window[balance] == 0 || !layout.is_pointer(window[balance]);
    return 1 + (is_named(window[0]) ? 4 : 0) + (has_stop ? 2 : 0) + (is_time ? 1 : 0) +
           (window[balance + 1] == 0 ? 1 : 0);
  }
  bool is_task(Word value) {
    return input_.profile.layout.is_pointer(value) && input_.tasks.read(Va{value}).has_value();
  }

  // Something else may pass for a task, but hardly with a name. A thread may have any, though.
  bool is_named(Word task) {
    const auto thread = input_.tasks.read(Va{task});
    return thread && !thread->process.name.empty() &&
           std::ranges::all_of(thread->process.name, [](char c) { return c >= ' ' && c <= '~'; });
  }

  const CurrentTaskInput& input_;
};

}  // namespace

std::vector<std::uint64_t> run_queue_slots(const CurrentTaskInput& input, Va base) {
  const Va start = input.image.base;
  const auto words = base.is_null()
                         ? words_of(input.image.bytes)
                         : words_at(input.kernel, start + base.value, input.image.bytes.size());
  RunQueueSearch search(input);
  std::vector<std::pair<int, std::uint64_t>> ranked;
  for (std::size_t i = 0; i + kWindow <= words.size(); ++i) {
    const int score = search.score(std::span(words).subspan(i, kWindow));
    if (score > 0) ranked.emplace_back(-score, (start + i * sizeof(Word)).value);
  }
  std::ranges::stable_sort(ranked);
  std::vector<std::uint64_t> slots;
  slots.reserve(ranked.size());
  for (const auto& [score, slot] : ranked) slots.push_back(slot);
  return slots;
}

}  // namespace swat::os
