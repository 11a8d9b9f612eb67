#include "osmodels/linux/task_reader.hpp"

namespace swat::os {
namespace {

constexpr std::size_t kMostKnown = 1 << 14;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint16_t kCommBytes = 16;

// Where each field lands in the buffer.
enum Slot : std::uint16_t {
  kPid = 0,
  kTgid = 4,
  kParent = 8,
  kLeader = 16,
  kMm = 24,
  kStack = 32,
  kFlags = 40,
  kComm = 48,
  kPgd = 64,
  kParentTgid = 72,
  kThreadInfo = 80,
};
constexpr std::uint16_t kThreadInfoBytes = 24;

template <class T>
T load(std::span<const std::byte> buffer, std::size_t at) {
  T value;
  std::memcpy(&value, buffer.data() + at, sizeof(T));
  return value;
}

}  // namespace

TaskReader::TaskReader(PhysicalMemory& ram, AddressSpace& kernel, const LinuxProfile& profile)
    : ram_(ram), kernel_(kernel), profile_(profile) {
  add_field(profile.task_pid, 4, kPid);
  add_field(profile.task_tgid, 4, kTgid);
  const auto word = static_cast<std::uint16_t>(profile.layout.word_bytes);
  add_field(profile.task_real_parent, word, kParent);
  add_field(profile.task_group_leader, word, kLeader);
  add_field(profile.task_mm, word, kMm);
  add_field(profile.task_thread_flags, word, kFlags);
  add_field(profile.task_comm, kCommBytes, kComm);
  // thread_info is at the low end of the stack where it is not in the task.
  const bool flags_on_stack = word == 8 && !profile.task_thread_flags;
  const MemberOffset stack = flags_on_stack ? profile.task_stack : MemberOffset{};
  add_field(stack, word, kStack);
  follows_ = {{
      {profile.task_mm, *profile.mm_pgd, word, kMm, kPgd},
      {profile.task_real_parent, *profile.task_tgid, 4, kParent, kParentTgid},
      {stack, 0, kThreadInfoBytes, kStack, kThreadInfo},
  }};
}

void TaskReader::add_field(MemberOffset member, std::uint16_t size_bytes,
                           std::uint16_t buffer_offset) {
  if (member) fields_.push_back({*member, size_bytes, buffer_offset});
}

// Most of the direct map is mapped by large pages: one walk serves many tasks.
Result<Pa> TaskReader::physical(Va at) {
  constexpr std::array<std::uint64_t, 4> kLeafBytes = {2 << 20, kPage, 1 << 30, 4 << 20};
  for (const std::uint64_t bytes : kLeafBytes) {
    const auto leaf = direct_map_.find(at.aligned_down(bytes));
    if (leaf != direct_map_.end() && leaf->second.bytes == bytes) {
      return leaf->second.at + (at - leaf->first);
    }
  }
  if (direct_map_.size() > 4 * kMostKnown) direct_map_.clear();
  const Translation here = SWAT_TRY(kernel_.translate(at));
  const Va start = at.aligned_down(here.page_bytes);
  direct_map_.insert_or_assign(start, Leaf{Pa{here.at.value - (at - start)}, here.page_bytes});
  return here.at;
}

Result<std::vector<TaskReader::Place>> TaskReader::places(Va at, std::uint16_t size_bytes,
                                                          std::uint16_t buffer_offset) {
  std::vector<Place> found;
  for (std::uint16_t done = 0; done < size_bytes;) {
    const Va here = at + done;
    const std::uint64_t to_page_end = kPage - here.value % kPage;
    const auto n =
        static_cast<std::uint16_t>(std::min<std::uint64_t>(to_page_end, size_bytes - done));
    found.push_back(
        {SWAT_TRY(physical(here)), static_cast<std::uint16_t>(buffer_offset + done), n});
    done = static_cast<std::uint16_t>(done + n);
  }
  return found;
}

Result<TaskReader::Known*> TaskReader::known(Va task) {
  if (const auto found = known_.find(task); found != known_.end()) return &found->second;
  if (!profile_.layout.is_pointer(task.value))
    return fail(Errc::kBadImage, "no task_struct", task.value);
  if (known_.size() >= kMostKnown) known_.clear();
  Known fresh;
  for (const Field& field : fields_) {
    const auto at = SWAT_TRY(places(task + field.offset, field.size_bytes, field.buffer_offset));
    fresh.own.insert(fresh.own.end(), at.begin(), at.end());
  }
  return &known_.emplace(task, std::move(fresh)).first->second;
}

void TaskReader::add_pieces(const Known& known, Buffer& buffer) {
  const auto add = [&](const std::vector<Place>& places) {
    for (const Place& place : places) {
      pieces_.push_back(
          {place.at, std::span(buffer).subspan(place.buffer_offset, place.size_bytes)});
    }
  };
  add(known.own);
  for (const std::vector<Place>& followed : known.followed) add(followed);
}

Result<> TaskReader::fetch(const Known& known, Buffer& buffer) {
  pieces_.clear();
  add_pieces(known, buffer);
  return ram_.read_batch(pieces_);
}

// Whether some pointer is not what it was, so that what was read through it is void.
Result<bool> TaskReader::follow(Known& known, const Buffer& buffer) {
  bool changed = false;
  for (std::size_t i = 0; i < kFollows; ++i) {
    const Follow& follow = follows_[i];
    if (!follow.pointer) continue;
    const auto pointer = load<std::uint64_t>(buffer, follow.pointer_buffer_offset);
    if (pointer == known.pointers[i]) continue;
    known.pointers[i] = 0;
    known.followed[i].clear();
    if (pointer != 0) {
      const Va target = Va{pointer} + follow.field;
      known.followed[i] = SWAT_TRY(places(target, follow.size_bytes, follow.buffer_offset));
    }
    known.pointers[i] = pointer;
    changed = true;
  }
  return changed;
}

// In the task (since 4.9): TIF_ADDR32, bit 29. On the stack: {task, exec_domain (until 4.0),
// flags}, TIF_IA32, bit 17 (until 5.10), as TIF_ADDR32 came in 3.4 only. x32 programs count as 32
// bit. [arch/x86/include/asm/thread_info.h]
bool TaskReader::is_32_bit(const Buffer& buffer) const {
  constexpr std::uint64_t kIa32 = 1 << 17;
  if (profile_.layout.word_bytes == 4) return true;
  if (profile_.task_thread_flags)
    return (load<std::uint64_t>(buffer, kFlags) & profile_.layout.flag_32_bit) != 0;
  if (!profile_.task_stack) return false;
  const bool has_domain = profile_.layout.is_address(load<std::uint64_t>(buffer, kThreadInfo + 8));
  const auto flags = load<std::uint32_t>(buffer, kThreadInfo + (has_domain ? 16 : 8));
  return (flags & (profile_.layout.flag_32_bit | kIa32)) != 0;
}

Result<Thread> TaskReader::decode(Va task, const Buffer& buffer) {
  const auto comm = std::span(buffer).subspan(kComm, kCommBytes);
  const auto end = std::ranges::find(comm, std::byte{0});
  const KernelLayout& layout = profile_.layout;
  const Va leader = profile_.task_group_leader ? Va{load<std::uint64_t>(buffer, kLeader)} : task;
  const Va parent{load<std::uint64_t>(buffer, kParent)};
  if (end == comm.end() || !layout.is_pointer(leader.value) || !layout.is_pointer(parent.value)) {
    return fail(Errc::kBadImage, "no task_struct", task.value);
  }
  Thread thread;
  thread.object = task;
  thread.tid = load<std::uint32_t>(buffer, kPid);
  Process& process = thread.process;
  process.object = leader;
  process.pid = load<std::uint32_t>(buffer, kTgid);
  if (process.pid == 0)
    process.pid = thread.tid;  // a kernel thread of 2.4, in the idle task's group
  process.parent_pid = load<std::uint32_t>(buffer, kParentTgid);
  process.key = ProcessKey{process.pid};
  process.parent = ProcessKey{process.parent_pid};
  process.name.assign(reinterpret_cast<const char*>(comm.data()),
                      static_cast<std::size_t>(end - comm.begin()));
  process.memory_object = Va{load<std::uint64_t>(buffer, kMm)};
  if (!process.memory_object.is_null()) {
    const Va pgd{load<std::uint64_t>(buffer, kPgd)};
    if (!layout.is_address(pgd.value) || pgd.value % layout.root_alignment != 0) {
      return fail(Errc::kBadImage, "no page table in mm_struct", process.memory_object.value);
    }
    process.page_table = SWAT_TRY(physical(pgd));
    process.is_32_bit = is_32_bit(buffer);
  }
  return thread;
}

Result<Thread> TaskReader::read(Va task) {
  Known& where = *SWAT_TRY(known(task));
  Buffer buffer{};
  SWAT_CHECK(fetch(where, buffer));
  return complete(task, where, buffer);
}

Result<TaskReader::Linked> TaskReader::read_linked(Va task, std::uint32_t link) {
  Known& where = *SWAT_TRY(known(task));
  Buffer buffer{};
  Va next;
  const auto link_bytes = word_of(next);
  pieces_.clear();
  for (const Place& place :
       SWAT_TRY(places(task + link, static_cast<std::uint16_t>(link_bytes.size()), 0))) {
    pieces_.push_back({place.at, link_bytes.subspan(place.buffer_offset, place.size_bytes)});
  }
  add_pieces(where, buffer);
  SWAT_CHECK(ram_.read_batch(pieces_));
  return Linked{SWAT_TRY(complete(task, where, buffer)), next};
}

Result<Thread> TaskReader::read_pointed_to(Pa slot, Va& guess,
                                           std::span<const PhysicalMemory::Piece> along) {
  Va task;
  Buffer buffer{};
  pieces_.assign(along.begin(), along.end());
  pieces_.push_back({slot, word_of(task)});
  const auto where = guess.is_null() ? Result<Known*>(nullptr) : known(guess);
  const bool guessed = where && *where != nullptr;
  if (guessed) add_pieces(**where, buffer);
  SWAT_CHECK(ram_.read_batch(pieces_));
  if (guessed && task == guess) return complete(task, **where, buffer);
  auto thread = read(task);
  guess = thread ? task : Va{};
  return thread;
}

std::span<const PhysicalMemory::Piece> TaskReader::guess(
    Pa slot, std::span<const Va> tasks, std::span<const PhysicalMemory::Piece> along) {
  guesses_.clear();
  guesses_.reserve(tasks.size());
  for (const Va task : tasks) {
    const auto found = known_.find(task);
    if (found != known_.end()) guesses_.push_back({task, &found->second});
  }
  pieces_.assign(along.begin(), along.end());
  guessed_task_ = {};
  pieces_.push_back({slot, word_of(guessed_task_)});
  for (Guess& guess : guesses_) add_pieces(*guess.where, guess.buffer);
  return pieces_;
}

bool TaskReader::has_moved(const Known& known, const Buffer& buffer) const {
  for (std::size_t i = 0; i < kFollows; ++i) {
    const Follow& follow = follows_[i];
    if (!follow.pointer) continue;
    const auto pointer = load<std::uint64_t>(buffer, follow.pointer_buffer_offset);
    if (pointer != known.pointers[i]) return true;
  }
  return false;
}

Result<Thread> TaskReader::judge() {
  const auto guess = std::ranges::find(guesses_, guessed_task_, &Guess::task);
  if (guess == guesses_.end() || has_moved(*guess->where, guess->buffer)) {
    return fail(Errc::kNotFound, "a task that was not expected", guessed_task_.value);
  }
  return decode(guess->task, guess->buffer);
}

// The task's own fields come first in the batch, so a pointer that changed is seen here; after a
// second read it cannot have changed again, for the guest stands still.
Result<Thread> TaskReader::complete(Va task, Known& known, Buffer& buffer) {
  if (SWAT_TRY(follow(known, buffer))) {
    buffer = {};
    SWAT_CHECK(fetch(known, buffer));
  }
  return decode(task, buffer);
}

}  // namespace swat::os
