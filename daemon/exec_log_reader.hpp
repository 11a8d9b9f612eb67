// The reading end of the FIFO that QEMU logs into, and the thread that keeps it from filling up.
//
// A full pipe blocks the vCPU that writes: the guest stands still until somebody reads, and so does
// QEMU's main loop when it waits for that vCPU. Hence the rule: whoever waits for an answer of
// QEMU's lets the thread read (let_flow), whatever is kept already.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "daemon/exec_log_filter.hpp"
#include "daemon/exec_log_parser.hpp"
#include "symbols/result.hpp"

namespace swat::daemon {

class ExecLogReader {
 public:
  // So many blocks kept, and the thread reads no more until they are taken: 8 MiB.
  static constexpr std::size_t kMaxKept = 1 << 18;

  // Reads from `fifo` from now on.
  [[nodiscard]] static Result<std::unique_ptr<ExecLogReader>> start(const std::string& fifo);
  ~ExecLogReader();
  ExecLogReader(const ExecLogReader&) = delete;
  ExecLogReader& operator=(const ExecLogReader&) = delete;

  // Somebody has the FIFO open for writing.
  [[nodiscard]] bool has_writer();

  // The thread's reading is suspended while this lives.
  class Pause {
   public:
    explicit Pause(ExecLogReader& reader) : reader_(reader), lock_(reader.mutex_) {}
    // What QEMU has written so far: with the guest stopped, every line there is.
    void drain() { reader_.read_all(); }
    [[nodiscard]] std::vector<Execution> take();
    [[nodiscard]] ExecLogFilter& filter() { return reader_.filter_; }

   private:
    ExecLogReader& reader_;
    std::unique_lock<std::mutex> lock_;
  };

  // Whether the thread may read beyond kMaxKept, because QEMU is waited for.
  void let_flow(bool flow) { flow_ = flow; }
  // As of the thread's last turn.
  [[nodiscard]] std::size_t kept() const { return kept_; }

  struct Stats {
    std::uint64_t bytes = 0;
    std::uint64_t traces = 0;     // lines of executed blocks
    std::uint64_t bad_lines = 0;  // that nobody could read
    std::uint64_t other_lines = 0;
  };
  [[nodiscard]] Stats stats() const;

 private:
  explicit ExecLogReader(int fd);
  void run();
  [[nodiscard]] ssize_t read_some();
  void read_all();

  int fd_;
  mutable std::mutex mutex_;  // of the next three
  ExecLogFilter filter_;
  ExecLogParser parser_{filter_};
  std::uint64_t bytes_ = 0;
  std::vector<char> buffer_;
  std::atomic<std::size_t> kept_ = 0;
  std::atomic<bool> flow_ = true;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace swat::daemon
