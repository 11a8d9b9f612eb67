#include "daemon/root_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace swat::daemon {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Result<std::vector<std::byte>> read_all(int fd, std::size_t size_bytes) {
  std::vector<std::byte> bytes(size_bytes);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::read(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(Errc::kUnsupported, std::strerror(errno));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace

Result<std::shared_ptr<const RootFolder>> RootFolder::open(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return fail(Errc::kUsage, fmt::format("--files {}: {}", folder, std::strerror(errno)));
  }
  std::shared_ptr<const RootFolder> root(new RootFolder(folder, fd));
  if (const Descriptor itself(root->look_up("/")); itself.get() < 0) {
    return fail(Errc::kUsage,
                fmt::format("--files: openat2 (Linux 5.6) is needed: {}", std::strerror(errno)));
  }
  return root;
}

RootFolder::~RootFolder() { close(fd_); }

int RootFolder::look_up(const std::string& path) const {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(SYS_openat2, fd_, path.c_str(), &how, sizeof(how)));
}

Result<std::vector<std::byte>> RootFolder::read(const std::string& path) const {
  const Descriptor found(look_up(path));
  if (found.get() < 0) return fail(Errc::kNotFound, std::strerror(errno));
  struct stat status {};
  if (fstat(found.get(), &status) != 0) return fail(Errc::kUnsupported, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return fail(Errc::kUnsupported, "no regular file");
  if (static_cast<std::uint64_t>(status.st_size) > kMaxFileBytes) {
    return fail(Errc::kUnsupported, "larger than 64 MiB");
  }
  // The file that was looked at, whatever the path leads to by now. [proc(5), /proc/self/fd]
  const std::string itself = fmt::format("/proc/self/fd/{}", found.get());
  const Descriptor file(::open(itself.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return fail(Errc::kUnsupported, std::strerror(errno));
  return read_all(file.get(), static_cast<std::size_t>(status.st_size));
}

}  // namespace swat::daemon
