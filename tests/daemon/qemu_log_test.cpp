#include "daemon/qemu_log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>

#include "temp_folder.hpp"

namespace swat::daemon {
namespace {

using Arguments = std::vector<std::string>;

TEST(QemuLogOptions, AreFoundAmongTheOthers) {
  const auto options = QemuLogOptions::parse(
      {"qemu-system-x86_64", "-m", "256M", "--d", "int,cpu_reset", "-D", "/tmp/a b"});
  EXPECT_EQ(options.items, "int,cpu_reset");
  EXPECT_EQ(options.file, "/tmp/a b");
  EXPECT_FALSE(options.filters || options.traces || options.daemonized);
}

TEST(QemuLogOptions, AreNoneByDefault) {
  const auto options = QemuLogOptions::parse({"qemu", "-display", "none", "-drive", "file=x", "d"});
  EXPECT_EQ(options.items, "");
  EXPECT_FALSE(options.file);
  EXPECT_EQ(QemuLogOptions::parse({"qemu", "-d", "none"}).items, "");
  EXPECT_EQ(QemuLogOptions::parse({"qemu", "-d"}).items, "");
}

TEST(QemuLogOptions, TellOfFiltersTracesAndDaemons) {
  const auto options =
      QemuLogOptions::parse({"qemu", "-dfilter", "0x1000+0x100", "-trace", "x*", "-daemonize"});
  EXPECT_TRUE(options.filters && options.traces && options.daemonized);
}

TEST(QemuLog, GoesBackToWhatItWas) {
  EXPECT_EQ((QemuLog{"", "/dev/stderr"}.restore()),
            (Arguments{"log none", "logfile \"/dev/stderr\""}));
  EXPECT_EQ((QemuLog{"int,mmu", "/a \"b\\c"}.restore()),
            (Arguments{"log none", "logfile \"/a \\\"b\\\\c\"", "log int,mmu"}));
}

// A process with a command line like QEMU's, whose stderr is `stderr_path`.
class FakeQemu {
 public:
  explicit FakeQemu(Arguments arguments, const std::string& stderr_path = "/dev/null") {
    arguments.insert(arguments.begin(), {"/bin/sh", "-c", "sleep 60 & wait", "qemu"});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      setpgid(0, 0);
      dup2(open(stderr_path.c_str(), O_WRONLY), STDERR_FILENO);
      execv(argv[0], argv.data());
      _exit(1);
    }
    close(ends[1]);
    char nothing = 0;
    EXPECT_EQ(::read(ends[0], &nothing, 1), 0);  // it has become another program
    close(ends[0]);
  }
  ~FakeQemu() {
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  FakeQemu(const FakeQemu&) = delete;
  FakeQemu& operator=(const FakeQemu&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

std::string refusal(const FakeQemu& qemu, const char* version) {
  const auto log = read_qemu_log(qemu.pid(), version);
  if (log) return "none: " + log->file;
  EXPECT_EQ(log.error().code, Errc::kUnsupported);
  return log.error().what;
}

TEST(QemuLog, OfAQemuThatLogsNothingIsItsStderr) {
  const FakeQemu qemu({"-m", "1G"});
  const auto log = read_qemu_log(qemu.pid(), "11.1.3");
  ASSERT_TRUE(log) << log.error().what;
  EXPECT_EQ(log->file, "/dev/stderr");
  EXPECT_EQ(log->items, "");
}

TEST(QemuLog, OfAQemuThatLogsIsWhatItsCommandLineSays) {
  const TempFolder folder;
  std::ofstream(folder.file("own.log")) << "";
  const FakeQemu qemu({"-d", "int", "-D", folder.file("own.log")});
  const auto log = read_qemu_log(qemu.pid(), "11.1.3");
  ASSERT_TRUE(log) << log.error().what;
  EXPECT_EQ(log->file, folder.file("own.log"));
  EXPECT_EQ(log->items, "int");
}

TEST(QemuLog, WithSomethingInItIsNotForAQemuThatWouldEmptyIt) {
  const TempFolder folder;
  std::ofstream(folder.file("own.log")) << "something";
  const FakeQemu qemu({"-D", folder.file("own.log")});
  EXPECT_NE(refusal(qemu, "11.1.3").find("could not be given back"), std::string::npos);
  EXPECT_EQ(refusal(qemu, "7.2.22"), "none: " + folder.file("own.log"));
}

TEST(QemuLog, OnAStderrThatWouldBeEmptiedIsGivenUpIfItWasNotUsed) {
  const TempFolder folder;
  std::ofstream(folder.file("err")) << "a warning of QEMU's";
  const FakeQemu silent({"-m", "1G"}, folder.file("err"));
  EXPECT_EQ(refusal(silent, "11.1.3"), "none: /dev/null");
  const FakeQemu tracing({"-trace", "x*"}, folder.file("err"));
  EXPECT_NE(refusal(tracing, "11.1.3").find("could not be given back"), std::string::npos);
}

TEST(QemuLog, OfADaemonIsNowhere) {
  const FakeQemu qemu({"-daemonize"});
  EXPECT_EQ(refusal(qemu, "7.2.22"), "none: /dev/null");
}

TEST(QemuLog, ThatIsFilteredIsRefused) {
  const FakeQemu qemu({"-dfilter", "0x1000+0x100"});
  EXPECT_NE(refusal(qemu, "7.2.22").find("-dfilter"), std::string::npos);
}

TEST(QemuLog, OfAProcessThatIsGoneIsRefused) { EXPECT_FALSE(read_qemu_log(-1, "7.2.22")); }

}  // namespace
}  // namespace swat::daemon
