// Guest RAM read out of QEMU's own address space with process_vm_readv(2): private RAM, same host,
// same user (or root). Coherent while the guest runs and while it is stopped.
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

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
    constexpr std::size_t kMaxAtOnce = 64;
    while (!pieces.empty()) {
      const auto some = pieces.first(std::min(pieces.size(), kMaxAtOnce));
      SWAT_CHECK(read_some(some));
      pieces = pieces.subspan(some.size());
    }
    return {};
  }

 private:
  Result<> read_some(std::span<const Piece> pieces) {
    std::array<iovec, 64> local;
    std::array<iovec, 64> remote;
    std::size_t total = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const Piece& piece = pieces[i];
      const RamBlock* block = SWAT_TRY(block_of(piece.at, piece.into.size()));
      const std::uint64_t host = block->host_address + (piece.at - block->range.start);
      local[i] = {piece.into.data(), piece.into.size()};
      // An address of QEMU's: the kernel follows it, we never do.
      void* theirs = reinterpret_cast<void*>(host);  // NOLINT(performance-no-int-to-ptr)
      remote[i] = {theirs, piece.into.size()};
      total += piece.into.size();
    }
    const ssize_t n =
        process_vm_readv(qemu_, local.data(), pieces.size(), remote.data(), pieces.size(), 0);
    if (n == static_cast<ssize_t>(total)) return {};
    if (n < 0 && errno == ESRCH) return fail(Errc::kDisconnected, "QEMU is gone");
    if (n < 0) return fail(Errc::kUnsupported, std::string("process_vm_readv: ") + strerror(errno));
    return fail(Errc::kFault, "short read of guest RAM", pieces.front().at.value);
  }

  pid_t qemu_;
};

}  // namespace

Result<std::unique_ptr<RamBackend>> open_process_ram(const RamSources& sources) {
  if (!sources.qemu) return fail(Errc::kUnsupported, "QEMU is not a process of this host");
  for (const RamBlock& block : sources.blocks) {
    if (block.host_address == 0) return fail(Errc::kUnsupported, "gpa2hva does not tell where");
  }
  return std::make_unique<ProcessRam>(sources.blocks, *sources.qemu);
}

}  // namespace swat::daemon
