#include "daemon/profile_files.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace swat::daemon {
namespace {

constexpr off_t kLargest = 64 << 10;  // bytes; they have some 1500

struct Descriptor {
  explicit Descriptor(int opened) : value(opened) {}
  ~Descriptor() {
    if (value >= 0) close(value);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int value;
};

// Why this file is not to be trusted; "" when it may be.
std::string why_not(const struct stat& file) {
  if (!S_ISREG(file.st_mode)) return "no regular file";
  if (file.st_uid != geteuid()) return "it is somebody else's";
  if ((file.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "others may write it";
  if (file.st_size > kLargest) return "it is too large";
  return {};
}

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(file, text.data(), text.size());
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

std::optional<std::string> ProfileFiles::default_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return std::string(cache) + "/swatd/profiles";
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return std::string(home) + "/.cache/swatd/profiles";
  return {};
}

std::string ProfileFiles::path(std::string_view key) const {
  return folder_ + "/" + std::string(key);
}

std::optional<std::string> ProfileFiles::load(std::string_view key) {
  const Descriptor file(open(path(key).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.value < 0) {
    if (errno != ENOENT) reject(key, "it cannot be opened");
    return {};
  }
  struct stat status {};
  const std::string reason =
      fstat(file.value, &status) == 0 ? why_not(status) : std::string("it cannot be looked at");
  if (!reason.empty()) {
    reject(key, reason);
    return {};
  }
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t n = read(file.value, text.data(), text.size());
  text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return text;
}

void ProfileFiles::save(std::string_view key, std::string_view text) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  std::string name = path(key) + ".XXXXXX";
  const Descriptor file(mkostemp(name.data(), O_CLOEXEC));  // mode 0600
  if (file.value < 0) {
    spdlog::debug("profile cache: nothing can be written below {}", folder_);
    return;
  }
  if (!write_all(file.value, text) || rename(name.c_str(), path(key).c_str()) != 0) {
    unlink(name.c_str());
    spdlog::debug("profile cache: {} cannot be written", path(key));
  }
}

void ProfileFiles::reject(std::string_view key, std::string_view why) {
  spdlog::warn("profile cache: {} is not used: {}", path(key), why);
}

}  // namespace swat::daemon
