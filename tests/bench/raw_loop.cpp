// The least that logging a system call can cost over a gdbstub: one watch, and at each stop the
// registers and on, `g` and `c` in one write. No names, no processes, no log: the yardstick that
// bench.py holds swatd against.
//
// Usage: raw_loop SOCKET ADDRESS SECONDS    prints the number of stops and the seconds they took
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::string packet(std::string_view payload) {
  unsigned char sum = 0;
  for (const char c : payload)
    sum = static_cast<unsigned char>(sum + static_cast<unsigned char>(c));
  char trailer[4];
  std::snprintf(trailer, sizeof trailer, "#%02x", sum);
  return "$" + std::string(payload) + trailer;
}

class Stub {
 public:
  explicit Stub(const char* path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (fd_ < 0 || ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      fail(path);
    }
  }

  void send(std::string_view bytes) const {
    if (::write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      fail("write");
  }

  // The next reply, without its frame.
  std::string receive() {
    for (;;) {
      const std::size_t start = buffer_.find('$');
      const std::size_t end = start == std::string::npos ? start : buffer_.find('#', start);
      if (end != std::string::npos && end + 3 <= buffer_.size()) {
        std::string reply = buffer_.substr(start + 1, end - start - 1);
        buffer_.erase(0, end + 3);
        return reply;
      }
      char chunk[4096];
      const ssize_t got = ::read(fd_, chunk, sizeof chunk);
      if (got <= 0) fail("read");
      buffer_.append(chunk, static_cast<std::size_t>(got));
    }
  }

  // Skips what came unasked (QEMU up to 8.0 says T02 to a new client).
  void ask(std::string_view payload, std::string_view wanted) {
    send(packet(payload));
    while (!receive().starts_with(wanted)) {
    }
  }

 private:
  int fd_;
  std::string buffer_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  using Clock = std::chrono::steady_clock;
  const std::string watch = std::string("2,") + argv[2] + ",8";
  const std::chrono::duration<double> length(std::atof(argv[3]));

  Stub stub(argv[1]);
  // Once any client has said multiprocess+, threads are p01.01 and `D` needs the process.
  stub.send(packet("qC"));
  std::string thread;
  while (!(thread = stub.receive()).starts_with("QC")) {
  }
  stub.ask("Z" + watch, "OK");

  const std::string next = packet("g") + packet("c");
  stub.send(packet("c"));
  stub.receive();
  const Clock::time_point start = Clock::now();
  long stops = 0;
  while (Clock::now() - start < length) {
    stub.send(next);
    stub.receive();  // the registers
    stub.receive();  // the next stop
    ++stops;
  }
  const std::chrono::duration<double> elapsed = Clock::now() - start;
  stub.ask("z" + watch, "OK");
  stub.ask(thread.starts_with("QCp") ? "D;1" : "D", "OK");
  std::printf("%ld %.3f\n", stops, elapsed.count());
}
