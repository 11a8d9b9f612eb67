#include "osmodels/linux/user_spaces.hpp"

#include <algorithm>

#include "osmodels/linux/program_path.hpp"

namespace swat::os {
namespace {

// What of an entry changes while it leads to the same table: a CPU sets bits when it uses it.
constexpr std::uint64_t kEntryFlags = 0x3ff;

constexpr std::size_t kLongestPath = 4096;  // PATH_MAX

Result<std::uint64_t> read_entry(PhysicalMemory& ram, const PageGeometry& geometry, Pa at) {
  std::uint64_t value = 0;
  SWAT_CHECK(
      ram.read(at, std::as_writable_bytes(std::span(&value, 1)).first(entry_bytes(geometry))));
  return value & ~kEntryFlags;
}

}  // namespace

UserSpaces::UserSpaces(GuestView& guest, const LocatedKernel& kernel)
    : guest_(guest),
      geometry_(*kernel.user_geometry),
      layout_(kernel.layout),
      roots_(guest, kernel),
      exited_from_(guest.vcpu_count()) {}

Result<UserSpace*> UserSpaces::of(unsigned vcpu) {
  const Pa root = SWAT_TRY(roots_.of(vcpu));
  if (exited_from_[vcpu] != root) exited_from_[vcpu] = {};
  const auto known = spaces_.find(root);
  if (known != spaces_.end() && is_there(*known->second)) {
    UserSpace& space = *known->second;
    if (!lives_.is_over(space.id) || is_exiting(space, vcpu)) return &space;
  }
  return begin(root);
}

// The only vCPU of a guest does not come to us any more once it is in its exit.
bool UserSpaces::is_exiting(const UserSpace& space, unsigned vcpu) const {
  return exited_from_.size() > 1 && exited_from_[vcpu] == space.root;
}

bool UserSpaces::is_there(const UserSpace& space) {
  const auto now = read_entry(guest_.ram(), geometry_, space.witness);
  return now && *now == space.witnessed;
}

Result<UserSpace*> UserSpaces::begin(Pa root) {
  auto made = std::make_unique<UserSpace>();
  made->root = root;
  made->id = SpaceId{++ids_};
  const auto before = spaces_.find(root);
  if (before != spaces_.end()) lives_.leave(before->second->id);
  SWAT_CHECK(look_at(*made));
  const ProcessKey key = lives_.begin(made->id, made->program, [&](SpaceId id) {
    const auto other =
        std::ranges::find_if(spaces_, [&](const auto& known) { return known.second->id == id; });
    return other != spaces_.end() && other->first != root && is_there(*other->second);
  });
  made->process.key = key;
  describe(*made);
  UserSpace* space = made.get();
  spaces_[root] = std::move(made);
  return space;
}

Result<> UserSpaces::look_at(UserSpace& space) {
  AddressSpace user(guest_.ram(), geometry_, roots_.with_user_rights(space.root));
  const UserPages pages =
      SWAT_TRY(present_user_pages(user, {Va{}, Va{layout_.end_of_user_space()}}));
  if (pages.empty()) return fail(Errc::kNotFound, "nothing is mapped", space.root.value);
  const auto program = find_program_path(user, pages, layout_.word_bytes);
  if (program) space.program = program->path;
  const Va stack = program ? program->stack_top - 1 : pages.rbegin()->first;
  SWAT_CHECK(take_witness(space, stack));
  return space.images.look(guest_.ram(), user, pages, images_of_others(space));
}

Result<> UserSpaces::take_witness(UserSpace& space, Va stack) {
  space.witness = root_entry_of(geometry_, space.root, stack);
  space.witnessed = SWAT_TRY(read_entry(guest_.ram(), geometry_, space.witness));
  return {};
}

void UserSpaces::describe(UserSpace& space) const {
  Process& process = space.process;
  process.object = Va{static_cast<std::uint64_t>(process.key)};
  process.memory_object = Va{static_cast<std::uint64_t>(space.id)};
  process.page_table = space.root;
  process.name = space.program.empty() ? "?" : std::string(command_name(space.program));
  const auto& images = space.images.all();
  process.is_32_bit = layout_.word_bytes == 4 || (!images.empty() && !images.front()->is_64_bit);
}

std::vector<ImageRef> UserSpaces::images_of_others(const UserSpace& space) const {
  std::vector<ImageRef> images;
  for (const auto& [root, other] : spaces_) {
    if (other->id == space.id) continue;
    images.insert(images.end(), other->images.all().begin(), other->images.all().end());
  }
  return images;
}

UserSpace* UserSpaces::find(const Process& process) {
  const auto known = spaces_.find(process.page_table.value_or(Pa{}));
  const bool is_same = known != spaces_.end() && known->second->is_of(process);
  return is_same ? known->second.get() : nullptr;
}

void UserSpaces::enter(const Process& process, unsigned vcpu, std::string_view call,
                       std::span<const std::optional<std::uint64_t>> arguments) {
  UserSpace* space = find(process);
  if (space == nullptr) return;
  SpaceLives::Call made{call, arguments.empty() ? std::nullopt : arguments[0], {}};
  if (call == "execve" && made.first) {
    made.path = read_c_string(*memory(space->root), Va{*made.first}, kLongestPath).value_or("");
  }
  space->process.key = lives_.enter(space->id, made);
  describe(*space);
  if (lives_.is_over(space->id)) exited_from_[vcpu] = space->root;
}

Result<const UserSpace*> UserSpaces::look(const Process& process) {
  UserSpace* space = find(process);
  if (space == nullptr) return fail(Errc::kNotFound, "that address space is gone");
  SWAT_CHECK(look_at(*space));
  describe(*space);
  return space;
}

Result<> UserSpaces::meet(const std::vector<Pa>& roots) {
  for (const Pa root : roots) {
    if (spaces_.contains(root)) continue;
    const auto begun = begin(root);
    if (!begun && begun.error().code == Errc::kDisconnected) return tl::unexpected(begun.error());
  }
  return {};
}

std::vector<const UserSpace*> UserSpaces::alive() {
  drop_gone();
  std::vector<const UserSpace*> found;
  for (const auto& [root, space] : spaces_) {
    if (!lives_.is_over(space->id)) found.push_back(space.get());
  }
  return found;
}

void UserSpaces::drop_gone() {
  std::erase_if(spaces_, [&](const auto& known) {
    if (is_there(*known.second)) return false;
    lives_.leave(known.second->id);
    return true;
  });
}

std::unique_ptr<VirtualMemory> UserSpaces::memory(Pa root) {
  return std::make_unique<AddressSpace>(guest_.ram(), geometry_, root);
}

}  // namespace swat::os
