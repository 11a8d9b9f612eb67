#include "daemon/page_table_updates.hpp"

#include <algorithm>

namespace swat::daemon {

void PageTableUpdates::set_ends_of_writes(std::vector<Va> code) {
  ends_ = std::move(code);
  std::sort(ends_.begin(), ends_.end());
}

bool PageTableUpdates::is_end_of_write(Va pc) const {
  return std::binary_search(ends_.begin(), ends_.end(), pc);
}

void PageTableUpdates::update(Pa root, std::uint64_t line) {
  if (updates_.size() >= kMaxOpen) updates_.erase(updates_.begin());
  updates_.push_back({root, line});
  newest_ = line;
}

std::optional<PageTableUpdates::ClaimId> PageTableUpdates::claim(std::uint64_t last) {
  const Claim claim{next_, last, newest_};
  const auto is_candidate = [&](const Update& update) { return claim.may_be_on(update); };
  if (std::none_of(updates_.begin(), updates_.end(), is_candidate)) return {};
  if (claims_.size() >= kMaxOpen) claims_.erase(claims_.begin());
  claims_.push_back(claim);
  ++next_;
  settle_what_is_clear();
  return claim.id;
}

const PageTableUpdates::Claim* PageTableUpdates::find(ClaimId id) const {
  const auto found = std::find_if(claims_.begin(), claims_.end(),
                                  [&](const Claim& claim) { return claim.id == id; });
  return found == claims_.end() ? nullptr : &*found;
}

std::vector<Pa> PageTableUpdates::candidates(ClaimId id) const {
  std::vector<Pa> roots;
  const Claim* const claim = find(id);
  if (claim == nullptr) return roots;
  for (const Update& update : updates_) {
    const bool is_new = std::find(roots.begin(), roots.end(), update.root) == roots.end();
    if (is_new && claim->may_be_on(update)) roots.push_back(update.root);
  }
  return roots;
}

void PageTableUpdates::settle(ClaimId id, Pa root) {
  const Claim* const claim = find(id);
  if (claim == nullptr) return;
  const auto update = std::find_if(updates_.begin(), updates_.end(), [&](const Update& u) {
    return u.root == root && claim->may_be_on(u);
  });
  if (update == updates_.end()) return;
  take(id, update);
  settle_what_is_clear();
}

void PageTableUpdates::give_up(ClaimId id) {
  std::erase_if(claims_, [&](const Claim& claim) { return claim.id == id; });
}

bool PageTableUpdates::has_open_since(std::uint64_t line) const {
  if (newest_ <= line) return false;  // nearly always
  return std::any_of(updates_.begin(), updates_.end(),
                     [&](const Update& update) { return update.line > line; });
}

void PageTableUpdates::take(ClaimId id, std::vector<Update>::iterator update) {
  settled_.push_back({id, update->root});
  updates_.erase(update);
  give_up(id);
}

void PageTableUpdates::settle_what_is_clear() {
  while (settle_one()) {
  }
}

// An update that only one claim is on may still be that of a vCPU whose line has not come; a claim
// that can be on one page table only is clear.
bool PageTableUpdates::settle_one() {
  for (const Claim& claim : claims_) {
    const auto roots = candidates(claim.id);
    if (roots.size() > 1) continue;
    const auto update = std::find_if(updates_.begin(), updates_.end(),
                                     [&](const Update& u) { return claim.may_be_on(u); });
    if (update == updates_.end()) {
      give_up(ClaimId{claim.id});
    } else {
      take(claim.id, update);
    }
    return true;
  }
  return false;
}

}  // namespace swat::daemon
