// A sink that keeps what it is given.
#pragma once

#include <vector>

#include "daemon/sink.hpp"

namespace swat::daemon {

class Collector final : public Sink {
 public:
  explicit Collector(std::vector<Event>& events) : events_(events) {}
  void write(const Event& event) override { events_.push_back(event); }
  Result<> flush() override { return {}; }

 private:
  std::vector<Event>& events_;
};

}  // namespace swat::daemon
