// Guest RAM through the gdbstub's `m` in physical mode: remote hosts, other users.
#include "daemon/ram_backend.hpp"

namespace swat::daemon {
namespace {

class StubRam final : public RamBackend {
 public:
  StubRam(std::vector<RamBlock> blocks, gdbproto::Session& stub)
      : RamBackend(std::move(blocks)), stub_(stub) {}

  std::string_view name() const override { return "stub"; }
  bool is_local() const override { return false; }

  Result<> read(Pa at, std::span<std::byte> into) override {
    SWAT_TRY(block_of(at, into.size()));
    return stub_.read_physical(at, into);
  }

  Result<> read_batch(std::span<const Piece> pieces) override {
    for (const Piece& piece : pieces) SWAT_TRY(block_of(piece.at, piece.into.size()));
    return stub_.read_physical(pieces);
  }

 private:
  gdbproto::Session& stub_;
};

}  // namespace

Result<std::unique_ptr<RamBackend>> open_stub_ram(const RamSources& sources) {
  return std::make_unique<StubRam>(sources.blocks, *sources.stub);
}

}  // namespace swat::daemon
