// The text that QEMU's `log exec,mmu` writes, line by line. Bytes in, lines out; owns no file, so
// that every split of the input can be tested.
//
// A line each time a translated block is looked up and entered: every indirect jump, call and
// return, every jump to another page, every way into and out of the kernel. Blocks that follow each
// other by direct jumps within a page are silent. [accel/tcg/cpu-exec.c, log_cpu_exec;
// facts/qemu.md 0.4]
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "symbols/address.hpp"

namespace swat::daemon {

// "Trace 0: 0x7f525f366000 [0000000000000000/ffffffffa34002c0/0040c2b0/ff000000] symbol"
struct TraceLine {
  unsigned vcpu = 0;
  Va pc;
  std::uint32_t flags = 0;  // of the block; what they mean is the architecture's
};

class ExecLogListener {
 public:
  virtual ~ExecLogListener() = default;
  // `vcpu` is about to execute the block at `pc`.
  virtual void on_trace(const TraceLine& line) = 0;
  // "Stopped execution of TB chain before 0x7f525f366000 [ffffffffa34002c0] symbol": some vCPU was
  // interrupted there; the block, whether it had a line of its own or not, has not been executed.
  virtual void on_stopped_before(Va pc) = 0;
  // "CR3 update: CR3=0000000002a12000": some vCPU has another page table now.
  virtual void on_page_table(std::uint64_t cr3) = 0;
  // A line that is none of the execution log's: of `-trace`, say. Without its newline.
  virtual void on_other(std::string_view line) = 0;
};

class ExecLogParser {
 public:
  // Longer lines are skipped to their end and counted: QEMU's are about 80 bytes.
  static constexpr std::size_t kMaxLineBytes = 1024;

  // `listener` outlives this.
  explicit ExecLogParser(ExecLogListener& listener) : listener_(listener) {}

  void feed(std::string_view bytes);

  [[nodiscard]] std::uint64_t traces() const { return traces_; }
  // Too long, or not what their beginning promised.
  [[nodiscard]] std::uint64_t bad_lines() const { return bad_lines_; }

 private:
  void line(std::string_view text);
  [[nodiscard]] bool known(std::string_view text);

  ExecLogListener& listener_;
  std::string begun_;      // a line whose newline has not come yet
  bool skipping_ = false;  // the rest of a line that was too long
  std::uint64_t traces_ = 0;
  std::uint64_t bad_lines_ = 0;
};

}  // namespace swat::daemon
