#include <cerrno>
#include <cstring>

#include "daemon/sink.hpp"

namespace swat::daemon {

Result<LineFile> LineFile::open(const std::string& path) {
  constexpr std::size_t kBufferBytes = 1 << 16;
  if (path == "-") return LineFile(stdout);
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) {
    return fail(Errc::kUsage, "cannot write " + path + ": " + std::strerror(errno));
  }
  std::setvbuf(file, nullptr, _IOFBF, kBufferBytes);
  return LineFile(file);
}

void LineFile::put(std::string_view line) {
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size()) failed_ = true;
}

Result<> LineFile::flush() {
  if (std::fflush(file_.get()) == 0 && !failed_) return {};
  return fail(Errc::kUnsupported, "the log cannot be written");
}

}  // namespace swat::daemon
