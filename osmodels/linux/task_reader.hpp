// Reads what the model tells of one task, in one batch and usually one only.
//
// Where a task's fields lie in guest RAM is kept for good: task_struct, mm_struct and, where it
// holds thread_info, the kernel stack come from the slab and page allocators, that is from the
// kernel's direct map, whose translations never change while the guest runs (init_task: from its
// image). What the fields say is read anew each time. [Documentation/arch/x86/x86_64/mm.rst]
#pragma once

#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "osmodels/linux/profile.hpp"
#include "osmodels/model.hpp"
#include "osmodels/page_table.hpp"

namespace swat::os {

class TaskReader {
 public:
  // All outlive this; `profile` is complete.
  TaskReader(PhysicalMemory& ram, AddressSpace& kernel, const LinuxProfile& profile);

  // kFault: not readable; kBadImage: no task_struct. `process.name` is the task's own comm.
  [[nodiscard]] Result<Thread> read(Va task);
  // The same, and the word at `link` bytes into the task, in the same batch: the list it is on.
  struct Linked {
    Thread thread;
    Va next;
  };
  [[nodiscard]] Result<Linked> read_linked(Va task, std::uint32_t link);
  // The task that the word at `slot` points to. One batch when that is still `guess`, which is set
  // to it; `along` is read in the same batch.
  [[nodiscard]] Result<Thread> read_pointed_to(Pa slot, Va& guess,
                                               std::span<const PhysicalMemory::Piece> along);

  // The same in two halves, for whoever reads guest RAM by himself: what to read, on the guess that
  // the word points to one of `tasks`, of which those never read before are left out. Valid until
  // the next call of anything here.
  [[nodiscard]] std::span<const PhysicalMemory::Piece> guess(
      Pa slot, std::span<const Va> tasks, std::span<const PhysicalMemory::Piece> along);
  // What the pieces of guess() say, once they have been read; reads nothing. kNotFound, with the
  // task's address: it is none of those, or it has changed since it was last read.
  [[nodiscard]] Result<Thread> judge();

 private:
  // The pieces of guest RAM that hold one field, and where they go in the buffer.
  struct Place {
    Pa at;
    std::uint16_t buffer_offset;
    std::uint16_t size_bytes;
  };
  // What a field of the task points to, and one field of that is read along: on the guess that the
  // pointer is still what it was at the last read.
  struct Follow {
    MemberOffset pointer;  // in the task
    std::uint32_t field;   // in what it points to
    std::uint16_t size_bytes;
    std::uint16_t pointer_buffer_offset;
    std::uint16_t buffer_offset;
  };
  static constexpr std::size_t kFollows = 3;
  struct Known {
    std::vector<Place> own;
    std::array<std::uint64_t, kFollows> pointers{};
    std::array<std::vector<Place>, kFollows> followed;
  };
  static constexpr std::size_t kBufferBytes = 128;
  using Buffer = std::array<std::byte, kBufferBytes>;

  void add_field(MemberOffset member, std::uint16_t size_bytes, std::uint16_t buffer_offset);
  [[nodiscard]] Result<std::vector<Place>> places(Va at, std::uint16_t size_bytes,
                                                  std::uint16_t buffer_offset);
  [[nodiscard]] Result<Known*> known(Va task);
  [[nodiscard]] bool has_moved(const Known& known, const Buffer& buffer) const;
  void add_pieces(const Known& known, Buffer& buffer);
  [[nodiscard]] Result<> fetch(const Known& known, Buffer& buffer);
  [[nodiscard]] Result<Thread> complete(Va task, Known& known, Buffer& buffer);
  [[nodiscard]] Result<bool> follow(Known& known, const Buffer& buffer);
  [[nodiscard]] Result<Thread> decode(Va task, const Buffer& buffer);
  [[nodiscard]] bool is_32_bit(const Buffer& buffer) const;

  struct Field {
    std::uint32_t offset;
    std::uint16_t size_bytes;
    std::uint16_t buffer_offset;
  };

  PhysicalMemory& ram_;
  AddressSpace& kernel_;
  const LinuxProfile& profile_;
  std::vector<Field> fields_;
  std::array<Follow, kFollows> follows_;
  std::unordered_map<Va, Known> known_;
  struct Leaf {
    Pa at;
    std::uint64_t bytes;
  };
  [[nodiscard]] Result<Pa> physical(Va at);
  // Where a word of the kernel goes; the rest of the address is zero already.
  [[nodiscard]] std::span<std::byte> word_of(Va& into) const {
    return std::as_writable_bytes(std::span(&into.value, 1)).first(profile_.layout.word_bytes);
  }
  std::unordered_map<Va, Leaf> direct_map_;  // by the start of each
  std::vector<PhysicalMemory::Piece> pieces_;
  struct Guess {
    Va task;
    const Known* where;
    Buffer buffer{};
  };
  Va guessed_task_;  // that the slot held
  std::vector<Guess> guesses_;
};

}  // namespace swat::os
