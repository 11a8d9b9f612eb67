#include "osmodels/linux/run_queue_slots.hpp"

#include <algorithm>
#include <array>

#include "osmodels/linux/blob.hpp"

namespace swat::os {
namespace {

constexpr std::size_t kChunk = 4096;

// Where the run queue is looked for, zero where nothing is mapped: without a base, in the image
// itself; else in its copy for the CPU, of all that lies before init_task, as per-CPU data do.
// [vmlinux.lds.S of arch/arm and arch/arm64: PERCPU_SECTION, then INIT_TASK_DATA]
Blob searched(const CurrentTaskInput& input, Va base) {
  const symbols::KernelImage& image = input.image;
  const auto& layout = input.profile.layout;
  if (base.is_null()) {
    return {image.base, {image.bytes.begin(), image.bytes.end()}, layout.word_bytes};
  }
  const VaRange range = image.range();
  const Va end = range.contains(input.init_task) ? input.init_task : range.end;
  const Va from{image.base.value + base.value};
  Blob blob{image.base, std::vector<std::byte>(end - image.base), layout.word_bytes};
  for (std::size_t done = 0; done < blob.bytes.size(); done += kChunk) {
    const auto piece = std::span(blob.bytes).subspan(done);
    const auto into = piece.first(std::min(kChunk, piece.size()));
    const Va at = layout.word_bytes == 4 ? Va{(from + done).value & 0xffffffff} : from + done;
    if (!input.kernel.read(at, into)) std::ranges::fill(into, std::byte{0});
  }
  return blob;
}

// From `curr` to `idle`, in words: dl_server lies between them in 6.12. [commit 63ba8422f876]
constexpr std::size_t kIdleAt[] = {1, 2};
constexpr std::size_t kWindow = 6;
using Window = std::array<std::uint64_t, kWindow>;

class RunQueueSearch {
 public:
  explicit RunQueueSearch(const CurrentTaskInput& input) : input_(input) {}

  // 0: `window`, which begins with what would be `curr`, is of no run queue; more is better.
  int score(const Window& window) {
    int best = 0;
    for (const std::size_t idle : kIdleAt) best = std::max(best, score(window, idle));
    return best;
  }

 private:
  int score(const Window& window, std::size_t idle) {
    if (window[idle] != input_.init_task.value || !is_task(window[0])) return 0;
    const auto& layout = input_.profile.layout;
    const std::uint64_t stop = window[idle + 1];
    const bool has_stop = stop == 0 || (is_task(stop) && is_named(stop));
    const std::size_t balance = idle + (has_stop ? 2 : 1);
    // A time in ticks, close to neither 0 nor an address of anything; unless nothing balances.
    const bool is_time = window[balance] == 0 || !layout.is_pointer(window[balance]);
    return 1 + (is_named(window[0]) ? 4 : 0) + (has_stop ? 2 : 0) + (is_time ? 1 : 0) +
           (window[balance + 1] == 0 ? 1 : 0);
  }
  bool is_task(std::uint64_t value) {
    return input_.profile.layout.is_pointer(value) && input_.tasks.read(Va{value}).has_value();
  }

  // Something else may pass for a task, but hardly with a name. A thread may have any, though.
  bool is_named(std::uint64_t task) {
    const auto thread = input_.tasks.read(Va{task});
    return thread && !thread->process.name.empty() &&
           std::ranges::all_of(thread->process.name, [](char c) { return c >= ' ' && c <= '~'; });
  }

  const CurrentTaskInput& input_;
};

// Where `curr` would be beside each word that names init_task: nothing else can score.
std::vector<std::size_t> candidates(const Blob& blob, Va init_task) {
  std::vector<std::size_t> places;
  for (std::size_t at = 0; at + blob.word_bytes <= blob.bytes.size(); at += blob.word_bytes) {
    if (blob.word(at) != init_task.value) continue;
    for (const std::size_t idle : kIdleAt) {
      const std::size_t back = idle * blob.word_bytes;
      const bool is_whole =
          back <= at && at - back + kWindow * blob.word_bytes <= blob.bytes.size();
      if (is_whole) places.push_back(at - back);
    }
  }
  std::ranges::sort(places);
  places.erase(std::ranges::unique(places).begin(), places.end());
  return places;
}

}  // namespace

std::vector<std::uint64_t> run_queue_slots(const CurrentTaskInput& input, Va base) {
  const Blob blob = searched(input, base);
  RunQueueSearch search(input);
  std::vector<std::pair<int, std::uint64_t>> ranked;
  Window window{};
  for (const std::size_t at : candidates(blob, input.init_task)) {
    for (std::size_t i = 0; i < kWindow; ++i) window[i] = blob.word(at + i * blob.word_bytes);
    const int score = search.score(window);
    if (score > 0) ranked.emplace_back(-score, (blob.at + at).value);
  }
  std::ranges::stable_sort(ranked);
  std::vector<std::uint64_t> slots;
  slots.reserve(ranked.size());
  for (const auto& [score, slot] : ranked) slots.push_back(slot);
  return slots;
}

}  // namespace swat::os
