// Ways to read guest RAM, best first; chosen at attach (DESIGN.md section 3). A new one is one file
// and one row of the table in ram_backend.cpp.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/ram_layout.hpp"
#include "gdbproto/session.hpp"
#include "symbols/memory.hpp"

namespace swat::daemon {

// What a back end may build on.
struct RamSources {
  std::vector<RamBlock> blocks;
  std::optional<pid_t> qemu;          // a process of this host
  gdbproto::Session* stub = nullptr;  // outlives the back end; not null
};

class RamBackend : public PhysicalMemory {
 public:
  explicit RamBackend(std::vector<RamBlock> blocks);
  [[nodiscard]] const std::vector<PaRange>& ranges() const override { return ranges_; }
  [[nodiscard]] virtual std::string_view name() const = 0;  // "file", "process", "stub"
  // A read costs no round trip to the stub.
  [[nodiscard]] virtual bool is_local() const { return true; }
  // Whether all of these are RAM.
  [[nodiscard]] bool holds(std::span<const Piece> pieces) const;

 protected:
  // The block that holds all of [at, at+size), or kFault.
  [[nodiscard]] Result<const RamBlock*> block_of(Pa at, std::size_t size_bytes) const;

 private:
  std::vector<RamBlock> blocks_;
  std::vector<PaRange> ranges_;
};

struct RamBackendKind {
  std::string_view name;
  Result<std::unique_ptr<RamBackend>> (*open)(const RamSources&);
};

// In the order of preference.
[[nodiscard]] const std::vector<RamBackendKind>& ram_backend_kinds();

Result<std::unique_ptr<RamBackend>> open_file_ram(const RamSources& sources);
Result<std::unique_ptr<RamBackend>> open_process_ram(const RamSources& sources);
Result<std::unique_ptr<RamBackend>> open_stub_ram(const RamSources& sources);

struct ChosenRam {
  std::unique_ptr<RamBackend> ram;
  std::string why;  // what was passed over, and the reason
};

// The best that opens and, while the guest is stopped, agrees with the stub byte for byte on
// samples of every block. `only` names one kind; "" lets it choose.
[[nodiscard]] Result<ChosenRam> choose_ram(const RamSources& sources, std::string_view only);

}  // namespace swat::daemon
