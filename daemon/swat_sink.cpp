// SWAT's log lines, so that whoever reads SWAT's logs reads these:
//   5633000: sysenter c8
//   Function b75cee10:__getpid
// [ispras/swat, docs/Introspection.md]
#include <fmt/format.h>

#include "daemon/printable.hpp"
#include "daemon/sink.hpp"

namespace swat::daemon {
namespace {

class SwatSink final : public Sink {
 public:
  SwatSink(LineFile file, bool names) : file_(std::move(file)), names_(names) {}

  void write(const Event& event) override {
    line_.clear();
    std::visit([&](const auto& what) { put(event, what); }, event.what);
    if (line_.size() == 0) return;
    line_.push_back('\n');
    file_.put({line_.data(), line_.size()});
  }

  Result<> flush() override { return file_.flush(); }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(fmt::appender(line_), format, std::forward<Args>(args)...);
  }

  // "sh/84"; "sh/?" where the model does not tell numbers.
  static std::string who(const Event& event) {
    return printable(event.process) + "/" + (event.pid == 0 ? "?" : std::to_string(event.pid));
  }

  void put(const Event& event, const SyscallEvent& call) {
    add("{:x}: {} {:x}", event.address_space.value, call.mnemonic, call.number);
    if (names_) add(" {} {}", call.name.empty() ? "?" : call.name, who(event));
  }

  // SWAT has no line for this. After strace's: "= 3", "= -2 ENOENT", "= 0x7f12a4c00000",
  // "= 0xc0000022 STATUS_ACCESS_DENIED", "= ? ERESTARTSYS", "= ? never".
  void put(const Event& event, const ReturnEvent& done) {
    add("{:x}: return {:x} ", event.address_space.value, done.number);
    if (names_) add("{} ", done.name.empty() ? "?" : done.name);
    add("= ");
    put_result(done);
    if (names_) add(" {}", who(event));
  }

  void put_result(const ReturnEvent& done) {
    const bool decided = done.outcome == ReturnEvent::Outcome::kReturned ||
                         done.outcome == ReturnEvent::Outcome::kInChild;
    if (!decided || !done.result) {
      add("? {}", done.error.empty() ? to_string(done.outcome) : done.error);
    } else if (!done.error.empty() && *done.result > 0) {
      add("{:#x} {}", *done.result, done.error);  // an NTSTATUS
    } else if (!done.error.empty()) {
      add("{} {}", *done.result, done.error);
    } else {
      put_number(*done.result);
    }
  }

  void put_number(std::int64_t number) {
    constexpr std::int64_t kLargestDecimal = 0xffffffff;  // beyond are addresses
    if (number > kLargestDecimal) {
      add("{:#x}", number);
    } else {
      add("{}", number);
    }
  }

  void put(const Event& event, const CallEvent& call) {
    add("Function {:x}:{}", call.address.value, printable(call.function));
    if (names_) add(" {}", who(event));
  }

  // Nor for this: "Return 7fcb082b5d50:strlen = 5", "= 0x55d0c05a62a0", "= ? unwound".
  void put(const Event& event, const CallReturnEvent& done) {
    add("Return {:x}:{} = ", done.address.value, printable(done.function));
    if (!done.result) {
      add("? {}", to_string(done.outcome));
    } else {
      put_number(static_cast<std::int64_t>(*done.result));
    }
    if (names_) add(" {}", who(event));
  }

  // SWAT has no lines for these; they come with --names only.
  void put(const Event& event, const ModuleEvent& module) {
    if (!names_) return;
    add("{:x}: {} {:x}-{:x} {} {}", event.address_space.value,
        module.loaded ? "loaded" : "unloaded", module.module.range.start.value,
        module.module.range.end.value, printable(module.module.path), who(event));
  }

  void put(const Event& event, const ProcessEvent& process) {
    if (!names_) return;
    add("{:x}: {} {} {}", event.address_space.value, process.started ? "started" : "exited",
        process.path.empty() ? "?" : printable(process.path), who(event));
  }

  // Always: a log with a hole in it must say so.
  void put(const Event&, const GapEvent& gap) { add("Gap {}:{}", gap.count, gap.reason); }

  LineFile file_;
  bool names_;
  fmt::memory_buffer line_;
};

}  // namespace

std::unique_ptr<Sink> make_swat_sink(LineFile file, bool names) {
  return std::make_unique<SwatSink>(std::move(file), names);
}

}  // namespace swat::daemon
