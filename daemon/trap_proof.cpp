#include "daemon/trap_proof.hpp"

#include <fmt/format.h>

namespace swat::daemon {

void TrapProof::entered(std::uint32_t tid, std::uint32_t number) {
  if (!pending_.insert_or_assign(tid, number).second) ++missed_;
}

void TrapProof::noticed(std::uint32_t tid, std::uint32_t number) {
  const auto it = pending_.find(tid);
  if (it == pending_.end() || it->second != number) return;
  pending_.erase(it);
  ++seen_;
}

std::string TrapProof::to_string() const {
  if (seen_ + missed_ == 0) return "unproven: nobody came this way";
  return fmt::format("noticed {} of {} that a breakpoint saw", seen_, seen_ + missed_);
}

}  // namespace swat::daemon
