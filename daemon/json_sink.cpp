// JSON lines: one object an event, the fields of DESIGN.md section 5. Addresses are strings of
// lower-case hex without 0x, as in SWAT's lines: JSON numbers lose bits beyond 2^53.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "daemon/sink.hpp"

namespace swat::daemon {
namespace {

using Json = nlohmann::ordered_json;

std::string hex(std::uint64_t value) { return fmt::format("{:x}", value); }

Json decoded(const std::vector<os::Argument>& arguments) {
  Json array = Json::array();
  for (const os::Argument& argument : arguments) {
    const os::Parameter& parameter = argument.parameter;
    array.push_back({{"name", parameter.name},
                     {"type", parameter.type},
                     {"direction", os::to_string(parameter.direction)},
                     {"value", argument.word ? Json(hex(*argument.word)) : Json()},
                     {"text", argument.text.empty() ? Json() : Json(argument.text)}});
  }
  return array;
}

void put(Json& json, const SyscallEvent& call) {
  json["event"] = "syscall";
  json["entry"] = call.mnemonic;
  json["number"] = call.number;
  json["name"] = call.name.empty() ? Json() : Json(call.name);
  Json& arguments = json["args"] = Json::array();
  for (const auto& argument : call.arguments) {
    arguments.push_back(argument ? Json(hex(*argument)) : Json());
  }
  if (!call.decoded.empty()) json["decoded"] = decoded(call.decoded);
}

Json nanoseconds(const std::optional<std::chrono::nanoseconds>& duration) {
  return duration ? Json(duration->count()) : Json();
}

// A result is a number, not a string of hex: most are small, many are negative.
void put(Json& json, const ReturnEvent& done) {
  json["event"] = "return";
  json["call"] = done.call;
  json["entry"] = done.mnemonic;
  json["number"] = done.number;
  json["name"] = done.name.empty() ? Json() : Json(done.name);
  json["outcome"] = to_string(done.outcome);
  json["result"] = done.result ? Json(*done.result) : Json();
  json["error"] = done.error.empty() ? Json() : Json(done.error);
  json["duration_ns"] = nanoseconds(done.duration);
  json["guest_duration_ns"] = nanoseconds(done.guest_duration);
  if (!done.written.empty()) json["written"] = decoded(done.written);
}

void put(Json& json, const CallEvent& call) {
  json["event"] = "call";
  json["address"] = hex(call.address.value);
  json["function"] = call.function;
  json["module"] = call.module.empty() ? Json() : Json(call.module);
  json["caller"] = call.caller ? Json(hex(call.caller->value)) : Json();
  json["caller_module"] = call.caller_module.empty() ? Json() : Json(call.caller_module);
}

void put(Json& json, const CallReturnEvent& done) {
  json["event"] = "return";
  json["call"] = done.call;
  json["address"] = hex(done.address.value);
  json["function"] = done.function;
  json["module"] = done.module.empty() ? Json() : Json(done.module);
  json["outcome"] = to_string(done.outcome);
  json["result"] = done.result ? Json(static_cast<std::int64_t>(*done.result)) : Json();
  json["duration_ns"] = nanoseconds(done.duration);
  json["guest_duration_ns"] = nanoseconds(done.guest_duration);
}

void put(Json& json, const ModuleEvent& module) {
  json["event"] = module.loaded ? "module_loaded" : "module_unloaded";
  json["start"] = hex(module.module.range.start.value);
  json["end"] = hex(module.module.range.end.value);
  json["path"] = module.module.path;
}

void put(Json& json, const ProcessEvent& process) {
  json["event"] = process.started ? "process_started" : "process_exited";
  json["ppid"] = process.parent_pid;
  json["path"] = process.path.empty() ? Json() : Json(process.path);
}

void put(Json& json, const GapEvent& gap) {
  json["event"] = "gap";
  json["count"] = gap.count;
  json["reason"] = gap.reason;
}

class JsonSink final : public Sink {
 public:
  explicit JsonSink(LineFile file) : file_(std::move(file)) {}

  void write(const Event& event) override {
    Json json;
    json["seq"] = event.sequence;
    json["time"] = std::chrono::duration<double>(event.host_time.time_since_epoch()).count();
    if (event.guest_time_ns) json["guest_time"] = static_cast<double>(*event.guest_time_ns) / 1e9;
    json["vcpu"] = event.vcpu;
    json["as"] = hex(event.address_space.value);
    json["pid"] = event.pid;
    json["tid"] = event.tid;
    json["process"] = event.process;
    std::visit([&](const auto& what) { put(json, what); }, event.what);
    // Names come from the guest and need not be UTF-8.
    file_.put(json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n');
  }

  bool shows_arguments() const override { return true; }
  Result<> flush() override { return file_.flush(); }

 private:
  LineFile file_;
};

}  // namespace

std::unique_ptr<Sink> make_json_sink(LineFile file) {
  return std::make_unique<JsonSink>(std::move(file));
}

}  // namespace swat::daemon
