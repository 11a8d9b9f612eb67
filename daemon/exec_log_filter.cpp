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

bool is_one_of(const std::vector<Va>& addresses, Va at) {
  return std::find(addresses.begin(), addresses.end(), at) != addresses.end();
}

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

void ExecLogFilter::in_kernel(Vcpu& vcpu, Va pc) const {
  if (vcpu.in_user) leave_user(vcpu, pc);
  if (is_one_of(context_switches_, pc)) ++vcpu.stretch;
}

// The block that the kernel will come back to is the interrupted one, if a line told of it, or may
// be the last one: its first instruction has faulted.
void ExecLogFilter::leave_user(Vcpu& vcpu, Va kernel_pc) const {
  vcpu.in_user = false;
  const bool is_syscall = is_one_of(syscall_entries_, kernel_pc);
  if (vcpu.interrupted || is_syscall || !vcpu.last_kept || vcpu.last_space == nullptr) return;
  expect(*vcpu.last_space, vcpu.last);
}

void ExecLogFilter::on_trace(const TraceLine& line) {
  if (line.vcpu >= kMaxVcpus) return;
  Vcpu& vcpu = vcpu_at(line.vcpu);
  if ((line.flags & kPrivilege) != kUser) return in_kernel(vcpu, line.pc);
  if (vcpu.space == nullptr) vcpu.space = space_at(Pa{});
  Space& space = *vcpu.space;
  const bool from_kernel = !vcpu.in_user;
  if (from_kernel && context_switches_.empty()) ++vcpu.stretch;
  const bool comes_back = from_kernel || vcpu.interrupted;
  const bool wanted = is_wanted(space, vcpu, line.pc);
  const bool again = comes_back ? was_expected(space, line.pc) : line.pc == vcpu.last;
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

// The line names no vCPU: it is one whose last block this was, or one that came there in silence.
void ExecLogFilter::on_stopped_before(Va pc) {
  Vcpu* who = nullptr;
  for (Vcpu& vcpu : vcpus_) {
    if (!vcpu.in_user || vcpu.interrupted) continue;
    if (who == nullptr || vcpu.last == pc) who = &vcpu;
    if (vcpu.last == pc) break;
  }
  if (who == nullptr || who->last_space == nullptr) return;
  who->interrupted = true;
  if (is_wanted(*who->last_space, *who, pc)) expect(*who->last_space, pc);
}

void ExecLogFilter::on_page_table(std::uint64_t cr3) {
  if (vcpus_.empty()) vcpus_.resize(1);
  vcpus_.front().space = space_at(root_of(cr3));
}

void ExecLogFilter::on_other(std::string_view) { ++other_lines_; }

}  // namespace swat::daemon
