// Which vCPU has changed its page table: the execution log tells that one has, and not which.
//
// `mov cr3` ends QEMU's block, and runs with interrupts off: the vCPU's next line is of the
// instruction behind it. So a line there is a claim of that vCPU's on one of the updates since its
// line before. Where two vCPUs update at once both may claim both; one of the claims may be settled
// later, by what the vCPU executes or by its register at a stop, and the other one with it.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "symbols/address.hpp"

namespace swat::daemon {

class PageTableUpdates {
 public:
  // What a hostile log can make this remember; the oldest goes.
  static constexpr std::size_t kMaxOpen = 64;

  using ClaimId = std::uint32_t;
  // The claim was on the update to `root`.
  struct Settled {
    ClaimId claim;
    Pa root;
  };

  // Where the kernel's writes of CR3 end. Without any there is nothing to claim.
  void set_ends_of_writes(std::vector<Va> code);
  [[nodiscard]] bool is_end_of_write(Va pc) const;

  // Lines are numbered, ascending.
  void update(Pa root, std::uint64_t line);
  // A vCPU has come to the end of a write, and its line before was number `last`. nullopt: there
  // is no update that it can have made.
  [[nodiscard]] std::optional<ClaimId> claim(std::uint64_t last);
  // What the claim may be on, each once; empty when it is settled, or given up.
  [[nodiscard]] std::vector<Pa> candidates(ClaimId claim) const;
  // It is known from elsewhere.
  void settle(ClaimId claim, Pa root);
  // What it is on is known, and is none of the candidates.
  void give_up(ClaimId claim);
  // There may be an update since `line` that nobody has claimed.
  [[nodiscard]] bool has_open_since(std::uint64_t line) const;
  // What has been found since the last call, by whatever way.
  [[nodiscard]] std::vector<Settled> take_settled() { return std::exchange(settled_, {}); }

 private:
  struct Update {
    Pa root;
    std::uint64_t line;
  };
  // It is on one of the updates between these lines.
  struct Claim {
    ClaimId id;
    std::uint64_t after;
    std::uint64_t before;
    [[nodiscard]] bool may_be_on(const Update& update) const {
      return after < update.line && update.line <= before;
    }
  };

  [[nodiscard]] const Claim* find(ClaimId id) const;
  void take(ClaimId id, std::vector<Update>::iterator update);
  void settle_what_is_clear();
  [[nodiscard]] bool settle_one();

  std::vector<Va> ends_;  // ascending
  std::vector<Update> updates_;
  std::vector<Claim> claims_;
  std::vector<Settled> settled_;
  std::uint64_t newest_ = 0;  // line of the newest update
  ClaimId next_ = 0;
};

}  // namespace swat::daemon
