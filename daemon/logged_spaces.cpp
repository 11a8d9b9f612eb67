#include "daemon/logged_spaces.hpp"

#include <vector>

namespace swat::daemon {
namespace {

constexpr std::size_t kMaxImages = 4096;  // beyond that the cache starts over

// Of what is mapped like an image and is none.
std::shared_ptr<const ImageFunctions> no_functions() {
  static const auto none =
      std::make_shared<const ImageFunctions>(std::make_shared<const Image>(), "", CallFilter{});
  return none;
}

}  // namespace

std::shared_ptr<const ImageFunctions> LoggedSpaces::functions_of(const LoadedModule& loaded) {
  if (loaded.image == nullptr) return loaded.is_image ? nullptr : no_functions();
  // The cache holds its images: none of their addresses is used again.
  auto& functions = images_[loaded.image.get()];
  if (functions == nullptr) {
    functions = std::make_shared<const ImageFunctions>(loaded.image, loaded.module.name(), wanted_);
  }
  return functions;
}

LoggedSpace* LoggedSpaces::at(Pa root) {
  const auto object = by_root_.find(root.value);
  if (object == by_root_.end()) return nullptr;
  const auto space = spaces_.find(object->second);
  return space == spaces_.end() ? nullptr : &space->second;
}

void LoggedSpaces::sync(ExecLogFilter& filter) {
  if (seen_changes_ == processes_.changes()) return;
  seen_changes_ = processes_.changes();
  drop_gone(filter);
  if (images_.size() > kMaxImages) images_.clear();
  unsettled_ = 0;
  for (const auto& [object, view] : processes_.all()) {
    if (!view->process.page_table) continue;
    LoggedSpace& space = spaces_[object];
    update(space, *view, filter);
    if (!space.settled && owns(object, space.root)) ++unsettled_;
  }
  if (const auto spawner = processes_.take_spawner()) {
    const auto space = spaces_.find(spawner->value);
    filter.distrust_all_but(space == spaces_.end() ? Pa{} : space->second.root);
  }
}

void LoggedSpaces::drop_gone(ExecLogFilter& filter) {
  std::erase_if(spaces_, [&](const auto& entry) {
    if (processes_.all().contains(entry.first)) return false;
    disown(entry.first, entry.second.root, filter);
    return true;
  });
}

bool LoggedSpaces::owns(std::uint64_t object, Pa root) const {
  const auto owner = by_root_.find(root.value);
  return owner != by_root_.end() && owner->second == object;
}

void LoggedSpaces::disown(std::uint64_t object, Pa root, ExecLogFilter& filter) {
  if (!owns(object, root)) return;
  filter.forget_space(root);
  by_root_.erase(root.value);
}

void LoggedSpaces::update(LoggedSpace& space, const ProcessView& view, ExecLogFilter& filter) {
  const Pa root = *view.process.page_table;
  const std::uint64_t object = view.process.memory_object.value;
  const bool moved = space.view != nullptr && space.root != root;
  if (moved) disown(object, space.root, filter);
  const bool renewed = moved || space.functions == nullptr || space.generation != view.generation;
  if (renewed) {
    ProcessFunctions::Images images;
    for (const LoadedModule& loaded : view.modules) images.push_back(functions_of(loaded));
    space.functions = std::make_unique<ProcessFunctions>(view, std::move(images));
    space.generation = view.generation;
    by_root_[root.value] = object;
  }
  const bool settled = view.remapping.empty();
  if (renewed || (settled != space.settled && owns(object, root))) {
    filter.set_space(root, space.functions->logged(view), settled);
  }
  space.view = &view;
  space.root = root;
  space.settled = settled;
}

void LoggedSpaces::read_slots(LoggedSpace& space, ExecLogFilter& filter) {
  if (!space.functions->has_unbound()) return;
  if (!space.functions->read_slots(*space.view, *memory(space))) return;
  filter.set_space(space.root, space.functions->logged(*space.view), space.settled);
}

}  // namespace swat::daemon
