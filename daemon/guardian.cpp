#include "daemon/guardian.hpp"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <thread>

#include "gdbproto/qmp.hpp"
#include "gdbproto/session.hpp"

namespace swat::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kConnectTimeout{2000};
constexpr milliseconds kPatience{15000};
constexpr milliseconds kGonePatience{3000};  // nobody listens any more: QEMU has exited
constexpr milliseconds kRetryEvery{50};

constexpr char kSeparator = '\t';

// One line a message: "disarm", or "arm" and the duty's fields: 0 or 1, stub, QMP or -, folder,
// then the commands.
std::string to_line(const GuardianDuty& duty) {
  std::string line = "arm";
  const auto add = [&](const std::string& field) { line += kSeparator + field; };
  add(duty.leave_paused ? "1" : "0");
  add(duty.stub.to_string());
  add(duty.stop_stub_by ? duty.stop_stub_by->to_string() : "-");
  add(duty.folder);
  for (const std::string& command : duty.restore_log) add(command);
  return line + "\n";
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream rest(line);
  for (std::string field; std::getline(rest, field, kSeparator);) fields.push_back(field);
  return fields;
}

std::optional<GuardianDuty> from_line(const std::string& line) {
  const std::vector<std::string> fields = fields_of(line);
  if (fields.size() < 4 || fields[0] != "arm") return {};
  auto stub = gdbproto::Endpoint::parse(fields[2]);
  if (!stub) return {};
  GuardianDuty duty{*stub, fields[1] == "1", {}, {}, {}};
  if (auto qmp = gdbproto::Endpoint::parse(fields[3])) duty.stop_stub_by = *qmp;
  if (fields.size() > 4) duty.folder = fields[4];
  for (std::size_t i = 5; i < fields.size(); ++i) duty.restore_log.push_back(fields[i]);
  return duty;
}

Result<> detach_once(const GuardianDuty& duty) {
  gdbproto::IoLoop loop;
  const auto link = SWAT_TRY(gdbproto::connect(loop, duty.stub, kConnectTimeout));
  gdbproto::Session session(*link);
  SWAT_CHECK(session.handshake());
  for (const std::string& command : duty.restore_log) SWAT_CHECK(session.monitor(command));
  // A step that goes on is better than a guest that we do not let go.
  if (const auto ended = session.end_steps(); !ended) spdlog::debug("{}", ended.error().what);
  SWAT_CHECK(session.forget_watched_pages());
  return session.detach(duty.leave_paused);
}

Result<> stop_stub(const gdbproto::Endpoint& monitor) {
  gdbproto::IoLoop loop;
  const auto link = SWAT_TRY(gdbproto::connect(loop, monitor, kConnectTimeout));
  gdbproto::Qmp qmp(*link);
  SWAT_CHECK(qmp.handshake());
  SWAT_CHECK(qmp.monitor("gdbserver none"));
  return {};
}

// Our parent's sockets must not live on in us, nor its stdout: a reader of its pipe waits for EOF.
void forget_everything_but(int pipe) {
  setsid();
  prctl(PR_SET_NAME, "swatd-guardian");
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) {
    signal(signal_number, SIG_IGN);
  }
  const int null = open("/dev/null", O_RDWR);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (null >= 0) dup2(null, fd);
  }
  const long limit = sysconf(_SC_OPEN_MAX);
  for (int fd = STDERR_FILENO + 1; fd < std::min(limit, 4096L); ++fd) {
    if (fd != pipe) close(fd);
  }
}

[[noreturn]] void keep_watch(int pipe) {
  forget_everything_but(pipe);
  std::optional<GuardianDuty> duty;
  std::string pending;
  std::array<char, 512> chunk;
  for (;;) {
    const ssize_t n = read(pipe, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    pending.append(chunk.data(), static_cast<std::size_t>(n));
    for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      duty = from_line(pending.substr(0, end));  // "disarm" parses as none
      pending.erase(0, end + 1);
    }
  }
  const bool kept = !duty || release_vm(*duty, kPatience).has_value();
  _exit(kept ? 0 : 1);
}

}  // namespace

Result<> release_vm(const GuardianDuty& duty, milliseconds patience) {
  const auto start = steady_clock::now();
  auto last_seen = start;
  Result<> done;
  for (;;) {
    done = detach_once(duty);
    const auto now = steady_clock::now();
    if (!done && done.error().code != Errc::kDisconnected) last_seen = now;
    if (done || now - start > patience || now - last_seen > kGonePatience) break;
    std::this_thread::sleep_for(kRetryEvery);
  }
  if (!duty.folder.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(duty.folder, ignored);
  }
  if (done && duty.stop_stub_by) return stop_stub(*duty.stop_stub_by);
  return done;
}

Result<Guardian> Guardian::start() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return fail(Errc::kUnsupported, std::string("no pipe for the guardian: ") + strerror(errno));
  }
  const pid_t child = fork();
  if (child == 0) {
    close(ends[1]);
    keep_watch(ends[0]);
  }
  close(ends[0]);
  if (child < 0) {
    close(ends[1]);
    return fail(Errc::kUnsupported, std::string("no guardian process: ") + strerror(errno));
  }
  return Guardian(ends[1], child);
}

Guardian::Guardian(Guardian&& other) noexcept
    : pipe_(std::exchange(other.pipe_, -1)), child_(std::exchange(other.child_, -1)) {}

Guardian::~Guardian() {
  if (pipe_ < 0) return;
  close(pipe_);
  waitpid(child_, nullptr, 0);
}

Result<> Guardian::say(const std::string& line) const {
  // A line of at most PIPE_BUF bytes is written whole or not at all.
  if (line.size() > PIPE_BUF || line.find('\n') + 1 != line.size()) {
    return fail(Errc::kUnsupported, "the guardian cannot be told: a path is too long, or odd");
  }
  if (write(pipe_, line.data(), line.size()) == static_cast<ssize_t>(line.size())) return {};
  return fail(Errc::kDisconnected, "the guardian process is gone");
}

Result<> Guardian::arm(const GuardianDuty& duty) { return say(to_line(duty)); }

Result<> Guardian::disarm() { return say("disarm\n"); }

}  // namespace swat::daemon
