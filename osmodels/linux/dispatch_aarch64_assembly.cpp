#include "osmodels/linux/dispatch_aarch64_assembly.hpp"

#include <algorithm>
#include <optional>

#include "osmodels/aarch64/code.hpp"
#include "osmodels/linux/blob.hpp"

namespace swat::os {
namespace {

using aarch64::kInstructionBytes;

constexpr std::size_t kMostCodeBytes = 16 << 10;  // of entry.S: 6 KiB in 4.4
constexpr unsigned kNumberRegister = 8;           // of the caller [syscall(2)]
constexpr std::size_t kWordBytes = 8;

// Numbers that have no handler of their own, but the one of all those: nfsservctl, and what is left
// to architectures, of which this one has none. [include/uapi/asm-generic/unistd.h]
constexpr std::size_t kNfsservctl = 42;
constexpr std::size_t kArchitectures = 244;
constexpr std::size_t kEndOfArchitectures = 260;
constexpr std::size_t kMostNumbers = 1024;

class EntryCode {
 public:
  EntryCode(VirtualMemory& kernel, Va vectors, const KernelLayout& layout)
      : kernel_(kernel),
        layout_(layout),
        code_(read_sparse(kernel, vectors, kMostCodeBytes, layout)) {}

  Result<AssemblyDispatch> find() {
    for (std::size_t i = 0; i < kMostCodeBytes / kInstructionBytes; ++i) {
      const auto table = aarch64::adrp_of(word(i), at(i));
      const auto count = table ? numbers_after(i) : std::nullopt;
      if (!count || !read_table(table->page, *count)) continue;
      find_loads(i, table->to);
      if (found_.loads.empty()) continue;
      found_.found_by = "the table in the code behind the vectors";
      return AssemblyDispatch{at(i), std::move(found_)};
    }
    return fail(Errc::kNotFound, "no code of svc behind the vectors");
  }

 private:
  [[nodiscard]] std::uint32_t word(std::size_t i) const {
    return code_.load<std::uint32_t>(i * kInstructionBytes);
  }
  [[nodiscard]] Va at(std::size_t i) const { return code_.at + i * kInstructionBytes; }

  // mov w26, w8; mov x25, #count: right behind the table's address.
  [[nodiscard]] std::optional<std::size_t> numbers_after(std::size_t table) const {
    constexpr std::size_t kWithin = 4;
    bool takes_number = false;
    std::optional<std::size_t> count;
    for (std::size_t i = table + 1; i <= table + kWithin; ++i) {
      const auto number = aarch64::word_move_of(word(i));
      takes_number = takes_number || (number && number->from == kNumberRegister);
      const auto constant = aarch64::constant_of(word(i));
      if (constant && !count) count = constant->value;
    }
    return takes_number ? count : std::nullopt;
  }

  bool read_table(Va table, std::size_t count) {
    if (count < kEndOfArchitectures || count > kMostNumbers) return false;
    const Blob blob = read_sparse(kernel_, table, count * kWordBytes, layout_);
    found_.handlers.clear();
    for (std::size_t i = 0; i < count; ++i)
      found_.handlers.push_back(Va{blob.word(i * kWordBytes)});
    const std::span<const Va> handlers(found_.handlers);
    const auto spare = handlers.subspan(kArchitectures, kEndOfArchitectures - kArchitectures);
    found_.table = table;
    return std::ranges::all_of(handlers, [&](Va handler) { return is_code(handler); }) &&
           std::ranges::all_of(spare, [&](Va none) { return none == handlers[kNfsservctl]; });
  }

  [[nodiscard]] bool is_code(Va handler) const {
    return layout_.is_address(handler.value) && handler.value % kInstructionBytes == 0;
  }

  // ldr x16, [table, number, lsl #3]; blr x16
  void find_loads(std::size_t entry, unsigned table) {
    for (std::size_t i = entry; i + 1 < kMostCodeBytes / kInstructionBytes; ++i) {
      const auto load = aarch64::load_of(word(i));
      if (!load || !load->index || load->index_shift != 3 || load->base != table) continue;
      const auto call = aarch64::register_branch_of(word(i + 1));
      if (!call || !call->links || call->through != load->to[0]) continue;
      SyscallDispatch::Load known;
      known.next = at(i + 1);
      known.reg = aarch64::register_name(load->to[0]);
      known.at = at(i);
      known.number = aarch64::register_name(*load->index);
      known.table = aarch64::register_name(load->base);
      found_.loads.push_back(known);
    }
  }

  VirtualMemory& kernel_;
  const KernelLayout& layout_;
  Blob code_;
  SyscallDispatch found_;
};

}  // namespace

Result<AssemblyDispatch> find_assembly_dispatch(VirtualMemory& kernel, Va vectors,
                                                const KernelLayout& layout) {
  return EntryCode(kernel, vectors, layout).find();
}

}  // namespace swat::os
