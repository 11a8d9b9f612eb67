// Guest RAM read out of QEMU's own address space with process_vm_readv(2): private RAM, same host,
// same user (or root). Coherent while the guest runs and while it is stopped.
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "daemon/ram_backend.hpp"

namespace swat::daemon {
namespace {

class ProcessRam final : public RamBackend {
 public:
  ProcessRam(std::vector<RamBlock> blocks, pid_t qemu)
      : RamBackend(std::move(blocks)), qemu_(qemu) {}

  std::string_view name() const override { return "process"; }

  Result<> read(Pa at, std::span<std::byte> into) override {
    const Piece piece{at, into};
    return read_batch({&piece, 1});
  }

  Result<> read_batch(std::span<const Piece> pieces) override {
    while (!pieces.empty()) {
      const auto some = pieces.first(std::min(pieces.size(), kMaxAtOnce));
      SWAT_CHECK(read_some(some));
      pieces = pieces.subspan(some.size());
    }
    return {};
  }

 private:
  static constexpr std::size_t kMaxAtOnce = 64;
  static constexpr std::uint64_t kPage = 4096;

  // A piece, by where it lies in QEMU's address space.
  struct Located {
    std::uint64_t host;
    const Piece* piece;
  };
  // Neighbours of one page, read as one span: what costs is each page that the kernel looks up, not
  // the bytes, and the fields of one structure are read at every stop.
  struct Span {
    std::size_t first;  // of the located pieces
    std::size_t last;
    std::uint64_t host;
    std::size_t size_bytes;
  };

  Result<> read_some(std::span<const Piece> pieces) {
    located_.clear();
    for (const Piece& piece : pieces) {
      const RamBlock* block = SWAT_TRY(block_of(piece.at, piece.into.size()));
      located_.push_back({block->host_address + (piece.at - block->range.start), &piece});
    }
    std::ranges::sort(located_, {}, &Located::host);
    gather_spans();
    return read_spans();
  }

  void gather_spans() {
    spans_.clear();
    for (std::size_t i = 0; i < located_.size(); ++i) {
      const std::uint64_t start = located_[i].host;
      const std::uint64_t end = start + located_[i].piece->into.size();
      if (!spans_.empty()) {
        Span& span = spans_.back();
        const std::uint64_t page = span.host & ~(kPage - 1);
        if (std::max(end, span.host + span.size_bytes) <= page + kPage) {
          span.last = i;
          span.size_bytes = std::max<std::size_t>(span.size_bytes, end - span.host);
          continue;
        }
      }
      spans_.push_back({i, i, start, end - start});
    }
  }

  Result<> read_spans() {
    std::array<iovec, kMaxAtOnce> local;
    std::array<iovec, kMaxAtOnce> remote;
    std::size_t total = 0;
    std::size_t shared = 0;  // bytes of scratch_ in use
    for (std::size_t i = 0; i < spans_.size(); ++i) {
      const Span& span = spans_[i];
      void* into = located_[span.first].piece->into.data();
      if (span.first != span.last) into = &scratch_[std::exchange(shared, shared + kPage)];
      local[i] = {into, span.size_bytes};
      // An address of QEMU's: the kernel follows it, we never do.
      void* theirs = reinterpret_cast<void*>(span.host);  // NOLINT(performance-no-int-to-ptr)
      remote[i] = {theirs, span.size_bytes};
      total += span.size_bytes;
    }
    const ssize_t n =
        process_vm_readv(qemu_, local.data(), spans_.size(), remote.data(), spans_.size(), 0);
    if (n < 0 && errno == ESRCH) return fail(Errc::kDisconnected, "QEMU is gone");
    if (n < 0) return fail(Errc::kUnsupported, std::string("process_vm_readv: ") + strerror(errno));
    if (n != static_cast<ssize_t>(total)) {
      return fail(Errc::kFault, "short read of guest RAM", located_.front().piece->at.value);
    }
    hand_out(local);
    return {};
  }

  void hand_out(const std::array<iovec, kMaxAtOnce>& local) {
    for (std::size_t i = 0; i < spans_.size(); ++i) {
      const Span& span = spans_[i];
      if (span.first == span.last) continue;
      const auto* bytes = static_cast<const std::byte*>(local[i].iov_base);
      for (std::size_t k = span.first; k <= span.last; ++k) {
        const auto into = located_[k].piece->into;
        std::memcpy(into.data(), bytes + (located_[k].host - span.host), into.size());
      }
    }
  }

  pid_t qemu_;
  std::vector<Located> located_;
  std::vector<Span> spans_;
  std::vector<std::byte> scratch_ = std::vector<std::byte>(kMaxAtOnce * kPage);
};

}  // namespace

Result<std::unique_ptr<RamBackend>> open_process_ram(const RamSources& sources) {
  if (!sources.qemu) return fail(Errc::kUnsupported, "QEMU is no process that this user can see");
  for (const RamBlock& block : sources.blocks) {
    if (block.host_address == 0) return fail(Errc::kUnsupported, "gpa2hva does not tell where");
  }
  return std::make_unique<ProcessRam>(sources.blocks, *sources.qemu);
}

}  // namespace swat::daemon
