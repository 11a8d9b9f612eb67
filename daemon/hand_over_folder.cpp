#include "daemon/hand_over_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>

namespace swat::daemon {
namespace {

constexpr mode_t kOwn = 0700;
constexpr mode_t kEnter = 0711;  // names of files in it have to be known
constexpr mode_t kWrite = 0622;  // by anybody; read by us

tl::unexpected<Error> failed(const std::string& path) {
  return fail(Errc::kUnsupported, "cannot make " + path + ": " + std::strerror(errno));
}

}  // namespace

HandOverFolder::HandOverFolder() {
  std::error_code error;
  std::filesystem::path parent = std::filesystem::temp_directory_path(error);
  if (error) parent = "/tmp";
  std::random_device entropy;
  path_ = (parent / fmt::format("swatd-{:08x}{:08x}", entropy(), entropy())).string();
}

HandOverFolder::~HandOverFolder() {
  std::error_code ignored;
  if (made_) std::filesystem::remove_all(path_, ignored);
}

Result<> HandOverFolder::make() {
  if (made_) return {};
  if (mkdir(path_.c_str(), kOwn) != 0) return failed(path_);
  made_ = true;
  // The creation mask does not apply to chmod.
  if (chmod(path_.c_str(), kEnter) != 0) return failed(path_);
  return {};
}

Result<std::string> HandOverFolder::make_file(const std::string& name) const {
  std::string file = path_ + "/" + name;
  const int fd = open(file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, kWrite);
  if (fd < 0) return failed(file);
  const bool is_open_to_all = fchmod(fd, kWrite) == 0;
  close(fd);
  if (!is_open_to_all) return failed(file);
  return file;
}

Result<std::string> HandOverFolder::make_fifo(const std::string& name) const {
  std::string file = path_ + "/" + name;
  if (mkfifo(file.c_str(), kWrite) != 0 || chmod(file.c_str(), kWrite) != 0) return failed(file);
  return file;
}

}  // namespace swat::daemon
