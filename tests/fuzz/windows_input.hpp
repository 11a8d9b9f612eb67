// An NT guest, as far as a walk over its structures needs one. The input begins with what attaching
// would have found out; the rest is memory (input.hpp).
#pragma once

#include "input.hpp"
#include "osmodels/windows/processes.hpp"

namespace swat::fuzz {

// Addresses are those of the RAM by their low 32 bits alone: so few bytes have user memory, pool
// and the kernel's image at once.
class LowMemory final : public VirtualMemory {
 public:
  explicit LowMemory(InputRam& ram) : ram_(ram) {}

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    Result<> got = ram_.read(Pa{at.value % InputRam::kBytes}, into);
    if (!got) got.error().guest = at.value;
    return got;
  }

 private:
  InputRam& ram_;
};

struct WindowsInput {
  static constexpr std::uint8_t kOwnOffsets = 0xff;  // not those of a row
  static constexpr std::uint8_t kNarrow = 1;         // bits of a byte that is there only then
  static constexpr std::uint16_t kNoMember = 0xffff;

  std::uint32_t build = 0;  // of a row
  unsigned word_bytes = 8;
  os::windows::WindowsOffsets offsets;
  VaRange image;  // of the kernel

  [[nodiscard]] os::windows::KernelSpace space(VirtualMemory& memory) const {
    const auto* const geometry = os::find_geometry(word_bytes == 8 ? "x86_64-4level" : "i386-pae");
    require(geometry != nullptr);
    return {memory, *geometry, offsets, word_bytes, image};
  }
};

// Without those that an attached guest always has, they are 0.
inline os::windows::WindowsOffsets take_offsets(Input& input) {
  using os::windows::MemberOffset;
  const auto needed = [&]() -> MemberOffset { return input.take<std::uint16_t>(); };
  const auto optional = [&]() -> MemberOffset {
    const auto at = input.take<std::uint16_t>();
    return at == WindowsInput::kNoMember ? MemberOffset{} : at;
  };
  os::windows::WindowsOffsets offsets;
  offsets.pcr_current_thread = needed();
  offsets.thread_process = needed();
  offsets.thread_client_id = needed();
  offsets.process_pid = needed();
  offsets.process_links = needed();
  offsets.process_parent_pid = needed();
  offsets.process_name = needed();
  offsets.process_peb = needed();
  offsets.process_wow64 = optional();
  offsets.process_vad_root = optional();
  return offsets;
}

// The number of a row of offset_rows(), or kOwnOffsets, flags and the offsets, of 16 bits each;
// then where the kernel's image is, of eight bytes, and its size in pages, of two.
inline WindowsInput take_windows(Input& input) {
  WindowsInput guest;
  const auto& rows = os::windows::offset_rows();
  if (const auto number = input.take<std::uint8_t>(); number != WindowsInput::kOwnOffsets) {
    const os::windows::OffsetRow& row = rows[number % rows.size()];
    guest.build = row.build;
    guest.word_bytes = row.word_bytes;
    guest.offsets = row.offsets;
  } else {
    guest.word_bytes = (input.take<std::uint8_t>() & WindowsInput::kNarrow) != 0 ? 4 : 8;
    guest.offsets = take_offsets(input);
  }
  guest.image.start = Va{input.take<std::uint64_t>()}.aligned_down(InputRam::kPageBytes);
  guest.image.end =
      guest.image.start + input.take<std::uint16_t>() * std::uint64_t{InputRam::kPageBytes};
  return guest;
}

}  // namespace swat::fuzz
