#include "daemon/ram_backend.hpp"

#include <algorithm>

namespace swat::daemon {
namespace {

constexpr std::size_t kSampleBytes = 64;
constexpr int kSamplesPerBlock = 8;

// The wrong process, or a stale mapping, must not pass for the guest.
Result<> verify(RamBackend& ram, gdbproto::Session& stub) {
  for (const PaRange& range : ram.ranges()) {
    const std::uint64_t stride = range.size() / kSamplesPerBlock;
    for (int i = 0; i < kSamplesPerBlock; ++i) {
      const Pa at = range.start + stride * static_cast<std::uint64_t>(i);
      if (range.end - at < kSampleBytes) break;
      std::array<std::byte, kSampleBytes> ours;
      std::array<std::byte, kSampleBytes> theirs;
      SWAT_CHECK(ram.read(at, ours));
      SWAT_CHECK(stub.read_physical(at, theirs));
      if (ours != theirs)
        return fail(Errc::kBadImage, "differs from what the stub reads", at.value);
    }
  }
  return {};
}

Result<std::unique_ptr<RamBackend>> try_kind(const RamBackendKind& kind,
                                             const RamSources& sources) {
  auto ram = SWAT_TRY(kind.open(sources));
  SWAT_CHECK(verify(*ram, *sources.stub));
  return ram;
}

}  // namespace

RamBackend::RamBackend(std::vector<RamBlock> blocks) : blocks_(std::move(blocks)) {
  for (const RamBlock& block : blocks_) ranges_.push_back(block.range);
}

bool RamBackend::holds(std::span<const Piece> pieces) const {
  return std::ranges::all_of(pieces, [&](const Piece& piece) {
    return block_of(piece.at, piece.into.size()).has_value();
  });
}

Result<const RamBlock*> RamBackend::block_of(Pa at, std::size_t size_bytes) const {
  const auto after =
      std::upper_bound(blocks_.begin(), blocks_.end(), at,
                       [](Pa address, const RamBlock& b) { return address < b.range.start; });
  if (after != blocks_.begin()) {
    const RamBlock& block = *std::prev(after);
    if (block.range.contains(at) && block.range.end - at >= size_bytes) return &block;
  }
  return fail(Errc::kFault, "not guest RAM", at.value);
}

const std::vector<RamBackendKind>& ram_backend_kinds() {
  static const std::vector<RamBackendKind> kinds = {
      {"file", open_file_ram},
      {"process", open_process_ram},
      {"stub", open_stub_ram},
  };
  return kinds;
}

Result<ChosenRam> choose_ram(const RamSources& sources, std::string_view only) {
  std::string passed_over;
  for (const RamBackendKind& kind : ram_backend_kinds()) {
    if (!only.empty() && only != kind.name) continue;
    auto ram = try_kind(kind, sources);
    if (ram) return ChosenRam{*std::move(ram), passed_over};
    if (ram.error().code == Errc::kDisconnected) return tl::unexpected(ram.error());
    passed_over += std::string(kind.name) + ": " + ram.error().what + "; ";
  }
  return fail(Errc::kUnsupported, "no way to read guest RAM: " + passed_over);
}

}  // namespace swat::daemon
