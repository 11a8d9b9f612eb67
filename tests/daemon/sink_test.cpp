#include "daemon/sink.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "daemon/printable.hpp"
#include "temp_folder.hpp"

namespace swat::daemon {
namespace {

using nlohmann::json;

using MakeSink = std::function<std::unique_ptr<Sink>(LineFile)>;
const MakeSink kSwat = [](LineFile file) { return make_swat_sink(std::move(file), false); };
const MakeSink kSwatNames = [](LineFile file) { return make_swat_sink(std::move(file), true); };
const MakeSink kJson = [](LineFile file) { return make_json_sink(std::move(file)); };

// What `make` writes of `events` into a file.
std::string written(const MakeSink& make, const std::vector<Event>& events) {
  const TempFolder folder;
  const std::string path = folder.file("log");
  auto file = LineFile::open(path);
  EXPECT_TRUE(file);
  const auto sink = make(std::move(*file));
  for (const Event& event : events) sink->write(event);
  EXPECT_TRUE(sink->flush());
  std::ifstream log(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(log), {}};
}

Event event_of(decltype(Event::what) what) {
  Event event;
  event.sequence = 7;
  event.host_time = std::chrono::system_clock::time_point(std::chrono::milliseconds(1500));
  event.vcpu = 1;
  event.address_space = Pa{0x5633000};
  event.pid = 12;
  event.tid = 13;
  event.process = "bash";
  event.what = std::move(what);
  return event;
}

Event sysenter(std::uint64_t number, std::string_view name) {
  SyscallEvent call;
  call.mnemonic = "sysenter";
  call.number = number;
  call.name = name;
  return event_of(call);
}

Event call_of(const std::string& function) {
  CallEvent call;
  call.address = Va{0xb75cee10};
  call.function = function;
  call.module = "libc.so.6";
  return event_of(call);
}

Event module_event(bool loaded, const std::string& path) {
  ModuleEvent event;
  event.loaded = loaded;
  event.module.range = {Va{0x1000}, Va{0x3000}};
  event.module.path = path;
  return event_of(event);
}

// --- SWAT's lines, as DESIGN.md quotes them

TEST(SwatSink, WritesASyscallAsSwatDoes) {
  EXPECT_EQ(written(kSwat, {sysenter(0xc8, "getgid32")}), "5633000: sysenter c8\n");
}

TEST(SwatSink, WritesACallAsSwatDoes) {
  EXPECT_EQ(written(kSwat, {call_of("__getpid")}), "Function b75cee10:__getpid\n");
}

TEST(SwatSink, WritesNothingThatSwatHasNoLineFor) {
  EXPECT_EQ(written(kSwat, {module_event(true, "/bin/sh"), event_of(ProcessEvent{})}), "");
}

TEST(SwatSink, AlwaysTellsOfAGap) {
  EXPECT_EQ(written(kSwat, {event_of(GapEvent{3, "rate cap"})}), "Gap 3:rate cap\n");
}

TEST(SwatSink, AppendsNamesWhenItIsAskedTo) {
  EXPECT_EQ(written(kSwatNames, {sysenter(0xc8, "getgid32"), call_of("__getpid")}),
            "5633000: sysenter c8 getgid32 bash/12\nFunction b75cee10:__getpid bash/12\n");
}

TEST(SwatSink, HasAQuestionMarkForASyscallWithoutAName) {
  EXPECT_EQ(written(kSwatNames, {sysenter(0xfff, "")}), "5633000: sysenter fff ? bash/12\n");
}

Event return_of(std::optional<std::int64_t> result, std::string_view error = {},
                ReturnEvent::Outcome outcome = ReturnEvent::Outcome::kReturned) {
  ReturnEvent done;
  done.call = 5;
  done.mnemonic = "syscall";
  done.number = 0x3d;
  done.name = "wait4";
  done.result = result;
  done.error = error;
  done.outcome = outcome;
  done.duration = std::chrono::nanoseconds(1500);
  return event_of(done);
}

TEST(SwatSink, TellsResultsWithNames) {
  using Outcome = ReturnEvent::Outcome;
  const std::string start = "5633000: return 3d wait4 = ";
  const std::string end = " bash/12\n";
  EXPECT_EQ(written(kSwatNames, {return_of(-10, "ECHILD")}), start + "-10 ECHILD" + end);
  EXPECT_EQ(written(kSwatNames, {return_of(101)}), start + "101" + end);
  EXPECT_EQ(written(kSwatNames, {return_of(0x7f12a4c00000)}), start + "0x7f12a4c00000" + end);
  EXPECT_EQ(written(kSwatNames, {return_of(-5000)}), start + "-5000" + end);
  EXPECT_EQ(written(kSwatNames, {return_of(0, {}, Outcome::kInChild)}), start + "0" + end);
  EXPECT_EQ(written(kSwatNames, {return_of(-512, "ERESTARTSYS", Outcome::kInterrupted)}),
            start + "? ERESTARTSYS" + end);
  EXPECT_EQ(written(kSwatNames, {return_of({}, {}, Outcome::kInterrupted)}),
            start + "? interrupted" + end);
  EXPECT_EQ(written(kSwatNames, {return_of({}, {}, Outcome::kDied)}), start + "? died" + end);
  EXPECT_EQ(written(kSwat, {return_of(-10, "ECHILD")}), "5633000: return 3d = -10 ECHILD\n");
}

Event call_return_of(std::optional<std::uint64_t> result,
                     CallReturnEvent::Outcome outcome = CallReturnEvent::Outcome::kReturned) {
  CallReturnEvent done;
  done.call = 5;
  done.address = Va{0x7fcb082b5d50};
  done.function = "strlen";
  done.module = "libc.so.6";
  done.result = result;
  done.outcome = outcome;
  done.duration = std::chrono::nanoseconds(1500);
  return event_of(done);
}

TEST(SwatSink, TellsResultsOfFunctions) {
  const std::string start = "Return 7fcb082b5d50:strlen = ";
  EXPECT_EQ(written(kSwat, {call_return_of(5)}), start + "5\n");
  EXPECT_EQ(written(kSwatNames, {call_return_of(0x55d0c05a62a0)}),
            start + "0x55d0c05a62a0 bash/12\n");
  EXPECT_EQ(written(kSwat, {call_return_of(~std::uint64_t{0})}), start + "-1\n");
  EXPECT_EQ(written(kSwat, {call_return_of({}, CallReturnEvent::Outcome::kUnwound)}),
            start + "? unwound\n");
}

TEST(SwatSink, TellsWhatIsLoadedWithNames) {
  EXPECT_EQ(written(kSwatNames, {module_event(true, "/bin/sh"), module_event(false, "/bin/sh")}),
            "5633000: loaded 1000-3000 /bin/sh bash/12\n"
            "5633000: unloaded 1000-3000 /bin/sh bash/12\n");
}

TEST(SwatSink, TellsWhoStartsAndExitsWithNames) {
  EXPECT_EQ(written(kSwatNames, {event_of(ProcessEvent{true, 1, "/bin/bash"}),
                                 event_of(ProcessEvent{false, 1, ""})}),
            "5633000: started /bin/bash bash/12\n5633000: exited ? bash/12\n");
}

// A process that calls itself "x\nFunction 1:system" must not forge a line.
TEST(SwatSink, WritesOneLineWhateverNamesHold) {
  Event hostile = call_of("a\nFunction 1:b");
  hostile.process = "x\r\ny";
  for (const Event& event : {hostile, module_event(true, "/tmp/a\nb")}) {
    Event named = event;
    named.process = hostile.process;
    const std::string text = written(kSwatNames, {named});
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    EXPECT_EQ(text.find('\r'), std::string::npos) << text;
  }
}

// --- JSON

json json_of(const Event& event) { return json::parse(written(kJson, {event})); }

TEST(JsonSink, WritesOneObjectALine) {
  std::istringstream lines(written(kJson, {sysenter(1, "exit"), call_of("f"), call_of("g")}));
  std::string line;
  unsigned count = 0;
  for (; std::getline(lines, line); ++count) EXPECT_TRUE(json::parse(line).is_object());
  EXPECT_EQ(count, 3u);
}

TEST(JsonSink, SaysWhereAndWhenOfEveryEvent) {
  const json event = json_of(call_of("f"));
  EXPECT_EQ(event["seq"], 7);
  EXPECT_EQ(event["time"], 1.5);
  EXPECT_EQ(event["vcpu"], 1);
  EXPECT_EQ(event["as"], "5633000");
  EXPECT_EQ(event["pid"], 12);
  EXPECT_EQ(event["tid"], 13);
  EXPECT_EQ(event["process"], "bash");
  EXPECT_FALSE(event.contains("guest_time"));
}

TEST(JsonSink, GivesGuestTimeInSecondsWhereItIsKnown) {
  Event event = call_of("f");
  event.guest_time_ns = 2'500'000'000;
  EXPECT_EQ(json_of(event)["guest_time"], 2.5);
}

TEST(JsonSink, WritesASyscall) {
  Event event = sysenter(0xc8, "getgid32");
  std::get<SyscallEvent>(event.what).arguments = {1, 0xffffffffffffffff, {}, 0, {}, {}};
  const json object = json_of(event);
  EXPECT_EQ(object["event"], "syscall");
  EXPECT_EQ(object["entry"], "sysenter");
  EXPECT_EQ(object["number"], 200);
  EXPECT_EQ(object["name"], "getgid32");
  EXPECT_EQ(object["args"], json::parse(R"(["1", "ffffffffffffffff", null, "0", null, null])"));
}

os::Argument handle_argument() {
  return {{os::Direction::kInOut, "PHANDLE", "FileHandle"}, 0x1000, "[0x44<Event e>]"};
}

constexpr std::string_view kHandleArgument =
    R"({"name": "FileHandle", "type": "PHANDLE", "direction": "inout", "value": "1000",
        "text": "[0x44<Event e>]"})";

TEST(JsonSink, WritesWhatArgumentsMean) {
  Event event = sysenter(0x25, "NtCreateFile");
  EXPECT_FALSE(json_of(event).contains("decoded"));
  os::Argument unread = handle_argument();
  unread.word.reset();
  unread.text.clear();
  std::get<SyscallEvent>(event.what).decoded = {handle_argument(), unread};
  const json decoded = json_of(event)["decoded"];
  EXPECT_EQ(decoded.at(0), json::parse(kHandleArgument));
  EXPECT_TRUE(decoded.at(1)["value"].is_null());
  EXPECT_TRUE(decoded.at(1)["text"].is_null());
}

TEST(JsonSink, WritesWhatTheKernelHasWritten) {
  Event event = return_of(0, "");
  EXPECT_FALSE(json_of(event).contains("written"));
  std::get<ReturnEvent>(event.what).written = {handle_argument()};
  EXPECT_EQ(json_of(event)["written"].at(0), json::parse(kHandleArgument));
}

TEST(SwatSink, WritesAnNtstatusInHex) {
  EXPECT_EQ(written(kSwat, {return_of(0xc0000022, "STATUS_ACCESS_DENIED")}),
            "5633000: return 3d = 0xc0000022 STATUS_ACCESS_DENIED\n");
}

TEST(JsonSink, WritesACall) {
  Event event = call_of("__getpid");
  std::get<CallEvent>(event.what).caller = Va{0x401005};
  const json object = json_of(event);
  EXPECT_EQ(object["event"], "call");
  EXPECT_EQ(object["address"], "b75cee10");
  EXPECT_EQ(object["function"], "__getpid");
  EXPECT_EQ(object["module"], "libc.so.6");
  EXPECT_EQ(object["caller"], "401005");
  EXPECT_TRUE(object["caller_module"].is_null());
}

TEST(JsonSink, WritesAReturn) {
  const json line = json::parse(written(kJson, {return_of(-10, "ECHILD")}));
  EXPECT_EQ(line["event"], "return");
  EXPECT_EQ(line["call"], 5);
  EXPECT_EQ(line["entry"], "syscall");
  EXPECT_EQ(line["number"], 0x3d);
  EXPECT_EQ(line["name"], "wait4");
  EXPECT_EQ(line["outcome"], "returned");
  EXPECT_EQ(line["result"], -10);
  EXPECT_EQ(line["error"], "ECHILD");
  EXPECT_EQ(line["duration_ns"], 1500);
  EXPECT_TRUE(line["guest_duration_ns"].is_null());
}

TEST(JsonSink, WritesAReturnWithoutAResult) {
  const auto died = return_of({}, {}, ReturnEvent::Outcome::kDied);
  const json line = json::parse(written(kJson, {died}));
  EXPECT_EQ(line["outcome"], "died");
  EXPECT_TRUE(line["result"].is_null());
  EXPECT_TRUE(line["error"].is_null());
}

TEST(JsonSink, WritesTheReturnOfAFunction) {
  const json line = json::parse(written(kJson, {call_return_of(~std::uint64_t{0})}));
  EXPECT_EQ(line["event"], "return");
  EXPECT_EQ(line["call"], 5);
  EXPECT_EQ(line["address"], "7fcb082b5d50");
  EXPECT_EQ(line["function"], "strlen");
  EXPECT_EQ(line["module"], "libc.so.6");
  EXPECT_EQ(line["outcome"], "returned");
  EXPECT_EQ(line["result"], -1);
  EXPECT_EQ(line["duration_ns"], 1500);
  const auto left = call_return_of({}, CallReturnEvent::Outcome::kUnwound);
  EXPECT_TRUE(json::parse(written(kJson, {left}))["result"].is_null());
}

TEST(JsonSink, WritesModules) {
  const json loaded = json_of(module_event(true, "/bin/sh"));
  EXPECT_EQ(loaded["event"], "module_loaded");
  EXPECT_EQ(loaded["start"], "1000");
  EXPECT_EQ(loaded["end"], "3000");
  EXPECT_EQ(loaded["path"], "/bin/sh");
  EXPECT_EQ(json_of(module_event(false, "/bin/sh"))["event"], "module_unloaded");
}

TEST(JsonSink, WritesProcesses) {
  const json started = json_of(event_of(ProcessEvent{true, 1, "/bin/bash"}));
  EXPECT_EQ(started["event"], "process_started");
  EXPECT_EQ(started["ppid"], 1);
  EXPECT_EQ(started["path"], "/bin/bash");
  EXPECT_EQ(json_of(event_of(ProcessEvent{false, 1, ""}))["event"], "process_exited");
}

TEST(JsonSink, WritesGaps) {
  const json gap = json_of(event_of(GapEvent{3, "rate cap"}));
  EXPECT_EQ(gap["event"], "gap");
  EXPECT_EQ(gap["count"], 3);
  EXPECT_EQ(gap["reason"], "rate cap");
}

TEST(JsonSink, GivesBackWhateverNamesHold) {
  for (const char* name : {"a\nb", "\"quoted\\", "\x01", "caf\xc3\xa9"}) {
    EXPECT_EQ(json_of(call_of(name))["function"], name);
  }
}

// [Unicode 15, section 3.9: U+FFFD for what is ill-formed]
TEST(JsonSink, ReplacesWhatIsNoUtf8) {
  EXPECT_EQ(json_of(call_of("a\xff"))["function"], "a\xef\xbf\xbd");
}

// --- Files

TEST(LineFile, SaysWhereItCannotWrite) {
  const auto file = LineFile::open("/nowhere/log");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Errc::kUsage);
}

TEST(LineFile, ReportsAFullDiskWhenItIsFlushed) {
  auto file = LineFile::open("/dev/full");
  if (!file) GTEST_SKIP() << "no /dev/full";
  file->put("line\n");
  const auto flushed = file->flush();
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().code, Errc::kUnsupported);
}

TEST(LineFile, StillReportsAFullDiskThatABigWriteHasMet) {
  auto file = LineFile::open("/dev/full");
  if (!file) GTEST_SKIP() << "no /dev/full";
  file->put(std::string(1 << 20, 'x'));
  EXPECT_FALSE(file->flush());
  EXPECT_FALSE(file->flush());
}

TEST(LineFile, StartsAFileAnew) {
  const TempFolder folder;
  std::ofstream(folder.file("log")) << "old\n";
  auto file = LineFile::open(folder.file("log"));
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->flush());
  EXPECT_EQ(std::filesystem::file_size(folder.file("log")), 0u);
}

// --- printable

TEST(Printable, LeavesTextAsItIs) {
  for (const char* text : {"", "bash", "a b", "caf\xc3\xa9", "x\\y", "~"}) {
    EXPECT_EQ(printable(text), text);
  }
}

// As /proc/PID/maps writes them. [proc_pid_maps(5)]
TEST(Printable, WritesControlCharactersInOctal) {
  EXPECT_EQ(printable("a\nb"), "a\\012b");
  EXPECT_EQ(printable("\x1b[31m"), "\\033[31m");
  EXPECT_EQ(printable("\x7f"), "\\177");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\000");
}

}  // namespace
}  // namespace swat::daemon
