#include "daemon/exec_log_filter.hpp"

#include <algorithm>

namespace swat::daemon {
namespace {

constexpr std::uint32_t kPrivilege = 3;  // of a block's flags [target/i386/cpu.h, HF_CPL_MASK]
constexpr std::uint32_t kUser = 3;
constexpr std::uint64_t kTableMask = 0x000ffffffffff000;  // CR3 without PCID and the like
constexpr std::uint64_t kUserTable = 0x1000;              // PTI_USER_PGTABLE_MASK
constexpr unsigned kMaxVcpus = 256;
// Threads of a process that were interrupted at a function's first block; more are forgotten.
constexpr std::size_t kMaxExpected = 64;
constexpr std::size_t kMaxInterruptions = 64;  // that nobody went on from; the oldest goes
constexpr std::size_t kMaxTold = 1024;
constexpr std::uint64_t kPage = 4096;

bool is_one_of(const std::vector<Va>& addresses, Va at) {
  return std::find(addresses.begin(), addresses.end(), at) != addresses.end();
}

// The upper half of the address space. [Documentation/x86/x86_64/mm.rst]
bool is_of_kernel(Va at) { return at.value >> 63 != 0; }

}  // namespace

// --- Address spaces

Pa ExecLogFilter::root_of(std::uint64_t cr3) const {
  return Pa{cr3 & kTableMask & (split_ ? ~kUserTable : ~std::uint64_t{0})};
}

ExecLogFilter::Space* ExecLogFilter::space_at(Pa root) {
  auto& space = spaces_[root.value];
  if (space != nullptr) return space.get();
  space = std::make_unique<Space>();
  space->root = root;
  Space* const added = space.get();
  if (spaces_.size() > kMaxSpaces) {
    std::erase_if(spaces_, [&](const auto& entry) {
      const Space* const old = entry.second.get();
      const auto uses = [&](const Vcpu& vcpu) { return vcpu.space == old; };
      return old != added && !old->known && std::none_of(vcpus_.begin(), vcpus_.end(), uses);
    });
    for (Vcpu& vcpu : vcpus_) vcpu.last_space = nullptr;
  }
  return added;
}

void ExecLogFilter::set_space(Pa root, std::vector<LoggedModule> modules, bool settled) {
  Space& space = *space_at(root);
  space.modules = std::move(modules);
  space.recent = 0;
  space.known = true;
  space.trusted = true;
  space.settled = settled;
}

void ExecLogFilter::forget_space(Pa root) {
  const auto found = spaces_.find(root.value);
  if (found == spaces_.end()) return;
  Space& space = *found->second;  // a vCPU may still be in it
  space = {};
  space.root = root;
}

void ExecLogFilter::distrust_all_but(Pa root) {
  for (auto& [value, space] : spaces_) space->trusted = space->trusted && Pa{value} == root;
}

void ExecLogFilter::trust(Pa root) {
  const auto found = spaces_.find(root.value);
  if (found != spaces_.end()) found->second->trusted = true;
}

void ExecLogFilter::set_split_page_tables() {
  split_ = true;
  for (Vcpu& vcpu : vcpus_) {
    if (vcpu.space == nullptr) continue;
    vcpu.space = space_at(root_of(vcpu.space->root.value));
  }
}

const LoggedModule* ExecLogFilter::module_at(Space& space, Va pc) {
  if (space.recent < space.modules.size() && space.modules[space.recent].range.contains(pc)) {
    return &space.modules[space.recent];
  }
  const auto after =
      std::upper_bound(space.modules.begin(), space.modules.end(), pc,
                       [](Va at, const LoggedModule& m) { return at < m.range.start; });
  if (after == space.modules.begin() || !std::prev(after)->range.contains(pc)) return nullptr;
  space.recent = static_cast<std::size_t>(std::prev(after) - space.modules.begin());
  return &*std::prev(after);
}

bool ExecLogFilter::is_wanted(Space& space, const Vcpu& vcpu, Va pc) {
  if (!space.known || !space.trusted) return true;
  const LoggedModule* const module = module_at(space, pc);
  if (module == nullptr) return !space.settled;
  const std::uint64_t offset = pc - module->base;
  if (module->entries == nullptr || module->entries->contains(offset)) return true;
  if (module->targets != nullptr && module->targets->contains(offset)) return true;
  // An IFUNC's target may be anywhere, and is entered from another module first: from ld.so.
  if (module->complete) return false;
  return vcpu.last_space != &space || !module->range.contains(vcpu.last);
}

void ExecLogFilter::expect(Space& space, Va pc) {
  if (space.expected.size() >= kMaxExpected) space.expected.erase(space.expected.begin());
  space.expected.push_back(pc);
}

bool ExecLogFilter::was_expected(Space& space, Va pc) {
  const auto found = std::find(space.expected.begin(), space.expected.end(), pc);
  if (found == space.expected.end()) return false;
  space.expected.erase(found);
  return true;
}

// --- vCPUs

ExecLogFilter::Vcpu& ExecLogFilter::vcpu_at(unsigned index) {
  if (index >= vcpus_.size()) vcpus_.resize(std::size_t{index} + 1);
  return vcpus_[index];
}

void ExecLogFilter::set_vcpu(unsigned vcpu, std::uint64_t cr3, bool in_user) {
  if (vcpu >= kMaxVcpus) return;
  Vcpu& state = vcpu_at(vcpu);
  state.space = space_at(root_of(cr3));
  state.in_user = in_user;
}

std::optional<ExecLogFilter::Position> ExecLogFilter::position(unsigned vcpu) const {
  if (vcpu >= vcpus_.size() || vcpus_[vcpu].last_space == nullptr) return {};
  return Position{vcpus_[vcpu].last_space->root, vcpus_[vcpu].stretch};
}

// The block that the kernel will come back to is the interrupted one, if a line told of it, or may
// be the last one: its first instruction has faulted.
void ExecLogFilter::leave_user(Vcpu& vcpu, Va kernel_pc) {
  vcpu.in_user = false;
  vcpu.is_fresh = true;
  const bool is_syscall = is_one_of(syscall_entries_, kernel_pc);
  if (vcpu.interrupted || is_syscall || !vcpu.last_kept || vcpu.last_space == nullptr) return;
  expect_in(*vcpu.last_space, vcpu.last);
}

void ExecLogFilter::on_trace(const TraceLine& line) {
  if (line.vcpu >= kMaxVcpus) return;
  ++line_;
  Vcpu& vcpu = vcpu_at(line.vcpu);
  if (!interruptions_.empty() && vcpu.in_user) claim_interruption(vcpu, line);
  if ((line.flags & kPrivilege) != kUser) {
    in_kernel(vcpu, line.pc);
  } else {
    in_user(vcpu, line);
  }
  vcpu.line = line_;
  vcpu.at = line.pc;
}

void ExecLogFilter::in_kernel(Vcpu& vcpu, Va pc) {
  if (vcpu.in_user) leave_user(vcpu, pc);
  if (is_one_of(context_switches_, pc)) ++vcpu.stretch;
  // A block that was stopped before its first instruction has its line anew; what was written
  // meanwhile, another vCPU has written.
  if (!is_smp_ || pc == vcpu.at) return;
  if (updates_.has_open_since(vcpu.line) && updates_.is_end_of_write(pc)) {
    claim_page_table(vcpu, pc);
  }
}

void ExecLogFilter::in_user(Vcpu& vcpu, const TraceLine& line) {
  if (vcpu.claim) tell_by(vcpu, line.pc);
  if (vcpu.space == nullptr) vcpu.space = space_at(Pa{});
  Space& space = *vcpu.space;
  const bool from_kernel = !vcpu.in_user;
  if (from_kernel && context_switches_.empty()) ++vcpu.stretch;
  const bool comes_back = from_kernel || vcpu.interrupted;
  const bool wanted = is_wanted(space, vcpu, line.pc);
  const bool again = comes_back ? was_expected(vcpu, line.pc) : line.pc == vcpu.last;
  if (wanted && !again) {
    kept_.push_back({line.pc, comes_back ? Va{} : vcpu.last, space.root, vcpu.stretch,
                     static_cast<std::uint8_t>(line.vcpu)});
  }
  vcpu.last = line.pc;
  vcpu.last_space = &space;
  vcpu.last_kept = wanted;
  vcpu.in_user = true;
  vcpu.interrupted = false;
}

void ExecLogFilter::on_other(std::string_view) { ++other_lines_; }

// --- Interruptions

// Whose it was, the next line of that vCPU tells: it goes on at that block, or into the kernel.
void ExecLogFilter::on_stopped_before(Va pc) {
  ++line_;
  if (is_of_kernel(pc)) return;
  if (interruptions_.size() >= kMaxInterruptions) interruptions_.erase(interruptions_.begin());
  interruptions_.push_back({pc, line_});
}

// Blocks that have no line follow one in the same page.
bool ExecLogFilter::may_have_been_at(const Vcpu& vcpu, const Interruption& interruption) const {
  if (interruption.line < vcpu.line) return false;
  return !is_smp_ || interruption.pc.aligned_down(kPage) == vcpu.last.aligned_down(kPage);
}

void ExecLogFilter::claim_interruption(Vcpu& vcpu, const TraceLine& line) {
  const bool in_user = (line.flags & kPrivilege) == kUser;
  if (!in_user && is_one_of(syscall_entries_, line.pc)) return;
  auto found = interruptions_.end();
  for (auto it = interruptions_.begin(); it != interruptions_.end(); ++it) {
    if (!may_have_been_at(vcpu, *it) || (in_user && it->pc != line.pc)) continue;
    if (found == interruptions_.end() || it->pc == vcpu.last) found = it;
  }
  if (found == interruptions_.end()) return;
  const Va pc = found->pc;
  interruptions_.erase(found);
  if (vcpu.last_space == nullptr) return;
  vcpu.interrupted = true;
  // Of a block that had its line, where it was entered from has been asked then.
  const bool had_line = pc == vcpu.last;
  const bool wanted = had_line ? vcpu.last_kept : is_wanted(*vcpu.last_space, vcpu, pc);
  if (wanted) expect_in(*vcpu.last_space, pc);
}

// --- Page tables

void ExecLogFilter::on_page_table(std::uint64_t cr3) {
  ++line_;
  if (is_smp_) {
    updates_.update(Pa{cr3 & kTableMask}, line_);
    return;
  }
  if (vcpus_.empty()) vcpus_.resize(1);
  vcpus_.front().space = space_at(root_of(cr3));
}

void ExecLogFilter::claim_page_table(Vcpu& vcpu, Va pc) {
  const auto own =
      vcpu.claim || vcpu.space == nullptr ? std::nullopt : std::optional(vcpu.space->root);
  const auto claim = updates_.claim(vcpu.line);
  if (!claim) return;
  const bool is_entry = std::exchange(vcpu.is_fresh, false);
  vcpu.claim = claim;
  vcpu.space = space_at(Pa{kToBeTold | *claim});
  for (const auto& [id, root] : updates_.take_settled()) {
    const bool to_user = split_ && id == *claim && (root.value & kUserTable) != 0;
    if (to_user && !is_one_of(ways_to_user_, pc)) ways_to_user_.push_back(pc);
    tell(id, root);
  }
  // With split page tables, who enters or leaves the kernel goes on with the other half of its own.
  if (!split_ || !vcpu.claim || !own) return;
  if (is_entry) updates_.settle(*vcpu.claim, *own);
  if (!is_entry && is_one_of(ways_to_user_, pc)) updates_.settle(*vcpu.claim, *own + kUserTable);
  take_what_is_told();
}

void ExecLogFilter::take_what_is_told() {
  for (const auto& [claim, root] : updates_.take_settled()) tell(claim, root);
}

// What was kept under the root that stood for this one is its own.
void ExecLogFilter::tell(PageTableUpdates::ClaimId claim, Pa root) {
  const Pa stood_for{kToBeTold | claim};
  Space& space = *space_at(root_of(root.value));
  for (Vcpu& vcpu : vcpus_) {
    if (vcpu.last_space != nullptr && vcpu.last_space->root == stood_for) vcpu.last_space = &space;
    if (vcpu.claim != claim) continue;
    vcpu.space = &space;
    vcpu.claim.reset();
  }
  const auto found = spaces_.find(stood_for.value);
  if (found == spaces_.end()) return;
  spaces_.erase(found);
  for (Execution& block : kept_) {
    if (block.root == stood_for) block.root = space.root;
  }
  if (told_.size() >= kMaxTold) told_.clear();
  told_[stood_for.value] = space.root;
}

// Where only one of the processes it may be has something at this address, it is that one.
void ExecLogFilter::tell_by(Vcpu& vcpu, Va pc) {
  std::optional<Pa> only;
  for (const Pa root : updates_.candidates(*vcpu.claim)) {
    Space& space = *space_at(root_of(root.value));
    const bool is_sure = space.known && space.trusted && space.settled && !space.modules.empty();
    if (is_sure && module_at(space, pc) == nullptr) continue;
    if (only) return;
    only = root;
  }
  if (!only) return;
  updates_.settle(*vcpu.claim, *only);
  take_what_is_told();
}

// Where it is not told yet which process that is, it is expected in each that it may be.
void ExecLogFilter::expect_in(Space& space, Va pc) {
  if (!is_to_be_told(space.root)) return expect(space, pc);
  const auto claim = static_cast<PageTableUpdates::ClaimId>(space.root.value);
  for (const Pa root : updates_.candidates(claim)) expect(*space_at(root_of(root.value)), pc);
}

bool ExecLogFilter::was_expected(const Vcpu& vcpu, Va pc) {
  if (was_expected(*vcpu.space, pc)) return true;
  if (!vcpu.claim) return false;
  const auto roots = updates_.candidates(*vcpu.claim);
  return std::any_of(roots.begin(), roots.end(),
                     [&](Pa root) { return was_expected(*space_at(root_of(root.value)), pc); });
}

bool ExecLogFilter::confirm(unsigned index, std::uint64_t cr3) {
  if (index >= vcpus_.size()) return true;
  Vcpu& vcpu = vcpus_[index];
  const Pa root = root_of(cr3);
  // It may have written the register, and not have come to its next line yet.
  if (vcpu.space == nullptr || updates_.has_open_since(vcpu.line)) return true;
  if (vcpu.claim) {
    for (const Pa candidate : updates_.candidates(*vcpu.claim)) {
      if (root_of(candidate.value) == root) updates_.settle(*vcpu.claim, candidate);
    }
    take_what_is_told();
    if (!vcpu.claim) return true;
    updates_.give_up(*vcpu.claim);
    tell(PageTableUpdates::ClaimId{*vcpu.claim}, root);
    return true;
  }
  if (vcpu.space->root == root) return true;
  vcpu.space = space_at(root);
  vcpu.last_space = nullptr;
  return false;
}

Pa ExecLogFilter::told(Pa root) const {
  const auto found = told_.find(root.value);
  return found == told_.end() ? root : found->second;
}

}  // namespace swat::daemon
