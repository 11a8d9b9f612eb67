#include "daemon/exec_log_reader.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace swat::daemon {
namespace {

using std::chrono::milliseconds;

constexpr int kPipeBytes = 1 << 20;  // the most an unprivileged user may ask for by default
constexpr std::size_t kReadBytes = 256 << 10;
constexpr milliseconds kIdle{20};  // between looks whether to stop
// QEMU writes line by line. Nobody sleeps in poll() while they come fast, or each of them would
// wake the thread: it looks so often, and a pipe takes 20 ms to fill.
constexpr milliseconds kBetweenReads{1};

}  // namespace

Result<std::unique_ptr<ExecLogReader>> ExecLogReader::start(const std::string& fifo) {
  const int fd = open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return fail(Errc::kUnsupported, fifo + ": " + std::strerror(errno));
  fcntl(fd, F_SETPIPE_SZ, kPipeBytes);  // less will do, slower
  return std::unique_ptr<ExecLogReader>(new ExecLogReader(fd));
}

ExecLogReader::ExecLogReader(int fd) : fd_(fd), buffer_(kReadBytes) {
  // Signals are the main thread's.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ExecLogReader::~ExecLogReader() {
  stop_ = true;
  thread_.join();
  close(fd_);
}

// poll() tells of a writer that has gone, and not of one that has never been there; read() does.
bool ExecLogReader::has_writer() {
  const std::lock_guard lock(mutex_);
  return read_some() != 0;
}

std::vector<Execution> ExecLogReader::Pause::take() {
  reader_.kept_ = 0;
  return reader_.filter_.take();
}

void ExecLogReader::run() {
  while (!stop_) {
    pollfd poll_fd{fd_, POLLIN, 0};
    poll(&poll_fd, 1, static_cast<int>(kIdle.count()));
    // Without a writer poll() returns at once, with nothing to read.
    for (ssize_t got = poll_fd.revents; got > 0 && !stop_;) {
      std::this_thread::sleep_for(kBetweenReads);
      do {
        if (kept_ >= kMaxKept && !flow_) break;
        const std::lock_guard lock(mutex_);
        got = read_some();
      } while (got == static_cast<ssize_t>(kReadBytes));
    }
  }
}

// As read(2): 0 when nobody has the FIFO open for writing, -1 when it is empty.
ssize_t ExecLogReader::read_some() {
  // fd_ does not block. NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection)
  const ssize_t n = read(fd_, buffer_.data(), buffer_.size());
  if (n <= 0) return n;
  bytes_ += static_cast<std::uint64_t>(n);
  parser_.feed({buffer_.data(), static_cast<std::size_t>(n)});
  kept_ = filter_.kept();
  return n;
}

void ExecLogReader::read_all() {
  while (read_some() > 0) {
  }
}

ExecLogReader::Stats ExecLogReader::stats() const {
  const std::lock_guard lock(mutex_);
  return {bytes_, parser_.traces(), parser_.bad_lines(), filter_.other_lines()};
}

}  // namespace swat::daemon
