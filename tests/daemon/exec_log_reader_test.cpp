#include "daemon/exec_log_reader.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "daemon/hand_over_folder.hpp"
#include "sockets.hpp"

namespace swat::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kUserLine =
    "Trace 0: 0x7f525f366000 [0000000000000000/00007ffff7ee1810/0040c2b3/ff000000] \n"
    "Trace 0: 0x7f525f366000 [0000000000000000/00007ffff7ee1820/0040c2b3/ff000000] \n";

// A FIFO, its reader, and the end that QEMU writes to. Nothing is known of any process: every
// block is kept.
struct Pipe {
  Pipe() {
    EXPECT_TRUE(folder.make());
    const auto fifo = folder.make_fifo("log");
    EXPECT_TRUE(fifo);
    path = *fifo;
    auto started = ExecLogReader::start(path);
    EXPECT_TRUE(started);
    reader = *std::move(started);
  }

  HandOverFolder folder;
  std::string path;
  std::unique_ptr<ExecLogReader> reader;
};

// Writes without ever waiting: how many bytes went in.
std::size_t write_some(int fd, std::size_t most) {
  std::size_t written = 0;
  while (written < most) {
    const ssize_t n = write(fd, kUserLine.data(), kUserLine.size());
    if (n <= 0) break;
    written += static_cast<std::size_t>(n);
  }
  return written;
}

template <class Condition>
bool eventually(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(1ms);
  }
  return condition();
}

TEST(ExecLogReader, KnowsWhetherSomebodyWrites) {
  Pipe pipe;
  EXPECT_FALSE(pipe.reader->has_writer());
  Fd writer(open(pipe.path.c_str(), O_WRONLY | O_NONBLOCK));
  ASSERT_GE(writer.get(), 0);
  EXPECT_TRUE(pipe.reader->has_writer());
  writer = Fd();
  EXPECT_TRUE(eventually([&] { return !pipe.reader->has_writer(); }));
}

TEST(ExecLogReader, ReadsBehindTheCallersBack) {
  Pipe pipe;
  const Fd writer(open(pipe.path.c_str(), O_WRONLY | O_NONBLOCK));
  write_some(writer.get(), kUserLine.size());
  EXPECT_TRUE(eventually([&] { return pipe.reader->kept() == 2; }));
  EXPECT_EQ(pipe.reader->stats().bytes, kUserLine.size());
  EXPECT_EQ(pipe.reader->stats().traces, 2u);
}

TEST(ExecLogReader, DrainsWhatThereIsAndNothingMoreWhilePaused) {
  Pipe pipe;
  const Fd writer(open(pipe.path.c_str(), O_WRONLY | O_NONBLOCK));
  ExecLogReader::Pause pause(*pipe.reader);
  write_some(writer.get(), kUserLine.size());
  pause.drain();
  EXPECT_EQ(pause.take().size(), 2u);
  EXPECT_EQ(pipe.reader->kept(), 0u);
  write_some(writer.get(), kUserLine.size());
  std::this_thread::sleep_for(50ms);  // the thread's chance to read what it must not
  EXPECT_EQ(pause.filter().kept(), 0u);
}

// Then the pipe fills, and QEMU waits. Whoever waits for QEMU lets it flow.
TEST(ExecLogReader, StopsReadingWhenEnoughIsKeptUntilItIsToldToGoOn) {
  Pipe pipe;
  pipe.reader->let_flow(false);
  const Fd writer(open(pipe.path.c_str(), O_WRONLY | O_NONBLOCK));
  constexpr std::size_t kFar = 4 * ExecLogReader::kMaxKept * kUserLine.size();
  std::size_t written = 0;
  std::size_t last = 1;
  EXPECT_TRUE(eventually([&] {
    last = write_some(writer.get(), kFar);
    written += last;
    std::this_thread::sleep_for(20ms);
    return written >= kFar || (last == 0 && pipe.reader->kept() >= ExecLogReader::kMaxKept);
  }));
  ASSERT_LT(written, kFar) << "it never stops";
  const std::size_t kept = pipe.reader->kept();
  EXPECT_GE(kept, ExecLogReader::kMaxKept);
  EXPECT_LT(kept, 2 * ExecLogReader::kMaxKept);
  pipe.reader->let_flow(true);
  EXPECT_TRUE(eventually([&] { return pipe.reader->stats().bytes == written; }));
}

TEST(ExecLogReader, CannotReadWhatIsNotThere) {
  const auto reader = ExecLogReader::start("/nonexistent/log");
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, Errc::kUnsupported);
}

}  // namespace
}  // namespace swat::daemon
