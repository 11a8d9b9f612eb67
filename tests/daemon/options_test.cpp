#include "daemon/options.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "temp_folder.hpp"

namespace swat::daemon {
namespace {

Result<std::optional<Options>> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "swatd");
  return parse_options(static_cast<int>(words.size()), words.data());
}

// With a VM to attach to.
Options parsed(std::vector<const char*> words) {
  words.insert(words.begin(), {"--gdb", ":1234"});
  const auto options = parse(words);
  EXPECT_TRUE(options && *options) << (options ? "no options" : options.error().what);
  return options && *options ? **options : Options{};
}

void expect_refused(const std::vector<const char*>& words) {
  const auto options = parse(words);
  std::string text;
  for (const char* word : words) text += std::string(word) + " ";
  ASSERT_FALSE(options) << text;
  EXPECT_EQ(options.error().code, Errc::kUsage) << text;
  EXPECT_EQ(options.error().what.find('\n'), std::string::npos) << options.error().what;
}

TEST(Options, SyscallsNeedNoVm) {
  const auto options = parse({"syscalls", "win7_sp1_x64"});
  ASSERT_TRUE(options && *options);
  EXPECT_EQ((*options)->command, Command::kSyscalls);
  EXPECT_EQ((*options)->syscall_table, "win7_sp1_x64");
}

TEST(Options, SyscallsAreThoseOfTheSystemThatIsNamed) {
  const auto options = parse({"syscalls", "--os", "winxp"});
  ASSERT_TRUE(options && *options);
  EXPECT_EQ((*options)->syscall_table, "xp_sp3_x86");
}

TEST(Options, TraceByDefault) {
  const Options options = parsed({});
  EXPECT_EQ(options.command, Command::kTrace);
  EXPECT_EQ(options.log, "-");
  EXPECT_EQ(options.json, "");
  EXPECT_EQ(options.os, "auto");
  EXPECT_FALSE(options.names || options.run || options.pid);
  EXPECT_FALSE(options.trace.duration || options.trace.max_events);
}

TEST(Options, SayWhichVm) {
  EXPECT_EQ(parsed({}).attach.gdb->port, "1234");
  EXPECT_EQ(parsed({"--qmp", "unix:/run/vm.qmp"}).attach.qmp->path, "/run/vm.qmp");
  const auto only_qmp = parse({"--qmp", "unix:/run/vm.qmp"});
  ASSERT_TRUE(only_qmp && *only_qmp);
  EXPECT_FALSE((*only_qmp)->attach.gdb);
}

TEST(Options, SayWhatToDo) {
  EXPECT_EQ(parsed({"ps"}).command, Command::kPs);
  EXPECT_EQ(parsed({"modules"}).command, Command::kModules);
  EXPECT_EQ(parsed({"functions"}).command, Command::kFunctions);
  EXPECT_EQ(parsed({"doctor"}).command, Command::kDoctor);
  EXPECT_EQ(parsed({"profile"}).command, Command::kProfile);
  EXPECT_TRUE(parsed({"profile"}).use_btf);
  EXPECT_FALSE(parsed({"profile", "--infer"}).use_btf);
}

TEST(Options, HaveTheirEffect) {
  EXPECT_EQ(parsed({"--os", "linux"}).os, "linux");
  EXPECT_EQ(parsed({"--os", "winxp"}).os, "windows");
  EXPECT_EQ(parsed({"--os", "win10x64"}).os, "windows");
  EXPECT_EQ(parsed({"--ram", "stub"}).attach.ram, "stub");
  EXPECT_EQ(parsed({"--traps", "break"}).traps, "break");
  EXPECT_EQ(parsed({"--traps", "exec-log"}).traps, kExecLog);
  EXPECT_EQ(parsed({"--log", "out.log"}).log, "out.log");
  EXPECT_EQ(parsed({"--json", "out.json"}).json, "out.json");
  EXPECT_TRUE(parsed({"--names"}).names);
  EXPECT_FALSE(parsed({}).trace.returns);
  EXPECT_FALSE(parsed({}).trace.call_returns);
  EXPECT_TRUE(parsed({"--returns"}).trace.returns);
  EXPECT_FALSE(parsed({"--returns"}).trace.call_returns);
  EXPECT_EQ(parsed({"--returns", "ps"}).command, Command::kPs);
  EXPECT_TRUE(parsed({"--run"}).run);
  EXPECT_TRUE(parsed({"--stats"}).stats);
  EXPECT_EQ(parsed({"--rate-cap", "100/s"}).rate_cap, 100u);
  EXPECT_EQ(parsed({"--rate-cap", "7"}).rate_cap, 7u);
  EXPECT_EQ(parsed({"--duration", "1.5"}).trace.duration, std::chrono::milliseconds(1500));
  EXPECT_EQ(parsed({"--max-events", "10"}).trace.max_events, 10u);
  EXPECT_EQ(parsed({"--break-budget", "10"}).trace.breaks.budget, 10u);
  EXPECT_EQ(parsed({"-v"}).verbosity, 1);
  EXPECT_EQ(parsed({"-vv"}).verbosity, 2);
}

TEST(Options, NameFunctionsOnceOrMore) {
  const Options options = parsed({"--break", "libc.so.6!malloc", "--break", "free"});
  ASSERT_EQ(options.trace.breaks.functions.size(), 2u);
  EXPECT_EQ(options.trace.breaks.functions[0].module, "libc.so.6");
  EXPECT_EQ(options.trace.breaks.functions[1].function, "free");
}

TEST(Options, SelectEverythingByDefault) {
  const Selection selection = parsed({}).trace.selection;
  EXPECT_TRUE(selection.syscalls.is_all());
  EXPECT_TRUE(selection.calls.is_all());
  EXPECT_TRUE(selection.processes.is_all());
}

TEST(Options, SelectWhatTheyName) {
  const Selection selection = parsed({"-e", "trace=execve", "--calls", "libc.so.6!*", "--calls",
                                      "libm.so.6!sin", "-p", "812", "-p", "sh", "-f"})
                                  .trace.selection;
  EXPECT_TRUE(selection.syscalls.wants("execve"));
  EXPECT_FALSE(selection.syscalls.wants("open"));
  EXPECT_TRUE(selection.calls.wants("libm.so.6", "sin"));
  EXPECT_FALSE(selection.calls.wants("libm.so.6", "cos"));
  EXPECT_TRUE(selection.processes.pids.contains(812));
  EXPECT_TRUE(selection.processes.names.contains("sh"));
  EXPECT_TRUE(selection.processes.follow);
}

// The name of a command is a process's name where one is expected.
TEST(Options, SelectAProcessThatIsCalledAsACommandIs) {
  const Options options = parsed({"-p", "ps"});
  EXPECT_EQ(options.command, Command::kTrace);
  EXPECT_TRUE(options.trace.selection.processes.names.contains("ps"));
}

TEST(Options, OfCommandsHaveTheirEffect) {
  EXPECT_EQ(parsed({"modules", "-p", "7"}).pid, 7u);
  EXPECT_EQ(parsed({"functions", "--pid", "7"}).pid, 7u);
  EXPECT_EQ(parsed({"functions", "mal*"}).glob, "mal*");
  EXPECT_EQ(parsed({"functions"}).glob, "*");
}

TEST(Options, MayFollowTheCommand) {
  const auto options = parse({"ps", "--gdb", ":1234"});
  ASSERT_TRUE(options && *options);
  EXPECT_EQ((*options)->attach.gdb->port, "1234");
}

TEST(Options, AnswerHelpAndVersionThemselves) {
  for (const char* word : {"--help", "-h", "--version"}) {
    testing::internal::CaptureStdout();
    const auto options = parse({word});
    EXPECT_NE(testing::internal::GetCapturedStdout().find("swatd"), std::string::npos) << word;
    ASSERT_TRUE(options) << word;
    EXPECT_FALSE(*options) << word;
  }
}

TEST(Options, AreRefusedWithoutAVm) { expect_refused({}); }

TEST(Options, AreRefusedWhenUnknown) {
  expect_refused({"--gdb", ":1234", "--frobnicate"});
  expect_refused({"--gdb", ":1234", "frobnicate"});
  expect_refused({"--gdb", ":1234", "ps", "extra"});
}

TEST(Options, AreRefusedWithValuesThatThereAreNot) {
  for (const std::vector<const char*>& words :
       std::vector<std::vector<const char*>>{{"--os", "plan9"},
                                             {"--ram", "psychic"},
                                             {"--traps", "bear"},
                                             {"--break-budget", "0"},
                                             {"--rate-cap", "0"},
                                             {"--rate-cap", "-1"},
                                             {"--rate-cap", "many"},
                                             {"--rate-cap", "5/min"},
                                             {"--rate-cap", "99999999999999999999/s"},
                                             {"--duration", "0"},
                                             {"--duration", "-1"},
                                             {"--duration", "soon"},
                                             {"--duration", "1e300"},
                                             {"--duration", "nan"},
                                             {"--duration", "inf"},
                                             {"--max-events", "0"},
                                             {"--max-events", "-1"},
                                             {"--max-events", "many"},
                                             {"-e", ""},
                                             {"-e", "trace=opne"},
                                             {"--calls", "libc!"},
                                             {"-p", ""},
                                             {"-p", "0"},
                                             {"-p", "4294967297"},
                                             {"-f"},
                                             {"--break", "!malloc"},
                                             {"--break", "libc!"},
                                             {"--gdb", "nowhere"},
                                             {"--qmp", "nowhere"}}) {
    std::vector<const char*> all = {"--gdb", ":1234"};
    if (std::string_view(words[0]) == "--gdb") all = {};
    all.insert(all.end(), words.begin(), words.end());
    expect_refused(all);
  }
}

TEST(Options, NameAFolderOfTheGuestsFiles) {
  EXPECT_EQ(parsed({}).trace.files, nullptr);
  const auto options = parsed({"--files", "/"});
  ASSERT_NE(options.trace.files, nullptr);
  EXPECT_EQ(options.trace.files->name(), "/");
  expect_refused({"--gdb", "h:1", "--files", "/nonexistent/swatd"});
}

TEST(Options, AreRefusedWithoutTheirValue) {
  for (const char* word :
       {"--qmp", "--os", "--ram", "--traps", "--log", "--json", "--duration", "--max-events",
        "--rate-cap", "--break", "--break-budget", "-e", "--calls", "-p"}) {
    expect_refused({"--gdb", ":1234", word});
  }
}

TEST(Options, AreRefusedWhenTheyContradictEachOther) {
  expect_refused({"--gdb", ":1234", "--json", "-"});
  expect_refused({"--gdb", ":1234", "ps", "modules"});
}

TEST(Options, AreRefusedWhenTheyAreOfTracingAndThatIsNotAskedFor) {
  for (const char* command : {"ps", "modules", "functions", "doctor"}) {
    expect_refused({"--gdb", ":1234", "--json", "out.json", command});
    expect_refused({"--gdb", ":1234", "--break", "malloc", command});
  }
}

TEST(Options, ThatSelectAreOfTracingAndOfTheDoctorWhoPlansIt) {
  for (const char* command : {"ps", "modules", "functions"}) {
    expect_refused({"--gdb", ":1234", "-e", "open", command});
    expect_refused({"--gdb", ":1234", "--calls", "none", command});
    expect_refused({"--gdb", ":1234", "-p", "1", command});
  }
  EXPECT_FALSE(parsed({"-e", "open", "doctor"}).trace.selection.syscalls.wants("close"));
}

TEST(Options, NameWhereAWindowsKernelHasWhat) {
  EXPECT_EQ(parsed({"--profile", "ntkrnlmp.pdb", "ps"}).profile, "ntkrnlmp.pdb");
  EXPECT_EQ(parsed({}).profile, "");
  expect_refused({"--gdb", ":1234", "--profile", "ntkrnlmp.pdb", "profile"});
  expect_refused({"--profile", "ntkrnlmp.pdb", "syscalls"});
}

TEST(Options, LetBothLogsGoToFiles) { EXPECT_EQ(parsed({"--log", "a", "--json", "-"}).json, "-"); }

// A file with these lines.
class Config {
 public:
  explicit Config(std::string_view lines) : path_(folder_.file("swatd.conf")) {
    std::ofstream(path_) << lines;
  }
  [[nodiscard]] const char* path() const { return path_.c_str(); }

 private:
  TempFolder folder_;
  std::string path_;
};

TEST(Options, ComeFromAFileToo) {
  const Config file(
      "trace = \"openat,execve\"\ncalls = \"none\"\nprocess = [\"nginx\", \"812\"]\n"
      "follow-forks = true\nreturns = true\n");
  const Options options = parsed({"--config", file.path()});
  EXPECT_EQ(options.config, file.path());
  const Selection& selection = options.trace.selection;
  EXPECT_TRUE(selection.syscalls.wants("openat"));
  EXPECT_FALSE(selection.syscalls.wants("read"));
  EXPECT_TRUE(selection.calls.is_none());
  EXPECT_EQ(selection.processes.pids, std::set<std::uint32_t>{812});
  EXPECT_TRUE(selection.processes.names.contains("nginx"));
  EXPECT_TRUE(selection.processes.follow);
  EXPECT_TRUE(options.trace.returns);
}

TEST(Options, OfTheCommandLineGoBeforeTheFiles) {
  const Config file("trace = \"openat\"\n");
  const Options options = parsed({"--config", file.path(), "-e", "read"});
  EXPECT_TRUE(options.trace.selection.syscalls.wants("read"));
  EXPECT_FALSE(options.trace.selection.syscalls.wants("openat"));
}

TEST(Options, RefuseAFileThatIsWrong) {
  expect_refused({"--gdb", ":1234", "--config", "/nonexistent/swatd.conf"});
  for (const char* line : {"no-such-option = 1\n", "trace = \"nosuchcall\"\n", "= =\n"}) {
    const Config file(line);
    expect_refused({"--gdb", ":1234", "--config", file.path()});
  }
}

TEST(Options, SayWhoseResultsAreLogged) {
  const TraceOptions calls = parsed({"--returns=calls"}).trace;
  EXPECT_TRUE(calls.call_returns && !calls.returns);
  const TraceOptions both = parsed({"--returns=syscalls,calls"}).trace;
  EXPECT_TRUE(both.call_returns && both.returns);
  EXPECT_TRUE(parsed({"--returns=syscalls"}).trace.returns);
  for (const char* wrong : {"--returns=malloc", "--returns=calls,", "--returns=,"}) {
    expect_refused({"--gdb", ":1234", wrong});
  }
}

TEST(Options, RefuseResultsOfCallsThatAreNotLogged) {
  expect_refused({"--gdb", ":1234", "--calls", "none", "--returns=calls"});
  EXPECT_TRUE(parsed({"--calls", "none", "--break", "a!b", "--returns=calls"}).trace.call_returns);
}

}  // namespace
}  // namespace swat::daemon
