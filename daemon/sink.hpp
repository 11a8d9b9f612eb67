// Where events go. A new format is one file, and one row where options name it.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "daemon/event.hpp"
#include "symbols/result.hpp"

namespace swat::daemon {

class Sink {
 public:
  virtual ~Sink() = default;
  virtual void write(const Event& event) = 0;
  // Whether it shows what arguments mean, which takes reading the guest's memory.
  [[nodiscard]] virtual bool shows_arguments() const { return false; }
  // Everything written so far is on its way to whoever reads. kUnsupported when it could not be
  // written: a full disk, a closed pipe.
  [[nodiscard]] virtual Result<> flush() = 0;
};

// A text file, or stdout for "-". Buffers whole lines.
class LineFile {
 public:
  [[nodiscard]] static Result<LineFile> open(const std::string& path);
  void put(std::string_view line);  // `line` has its newline
  [[nodiscard]] Result<> flush();

 private:
  struct Close {
    void operator()(std::FILE* file) const {
      if (file != stdout) std::fclose(file);
    }
  };
  explicit LineFile(std::FILE* file) : file_(file) {}
  std::unique_ptr<std::FILE, Close> file_;
  bool failed_ = false;
};

// SWAT's lines; with `names`, syscall name and process appended.
std::unique_ptr<Sink> make_swat_sink(LineFile file, bool names);
// One JSON object a line.
std::unique_ptr<Sink> make_json_sink(LineFile file);

}  // namespace swat::daemon
