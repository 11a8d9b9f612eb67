#include "osmodels/windows/handle_names.hpp"

#include <utility>

namespace swat::os::windows {

// What is paged out now may be there the next time.
void HandleNames::find() {
  const KernelSpace& kernel = context_.kernel;
  const HandleTableShape* const shape = find_handle_table_shape(context_.build, kernel.word_bytes);
  const ObjectShape* const objects = find_object_shape(context_.build, kernel.word_bytes);
  --tries_left_;
  if (shape == nullptr || objects == nullptr) return;
  const auto ring = read_ring(kernel, context_.system);
  if (!ring) return;
  const auto table_at = HandleTable::find_table(kernel, *shape, *ring);
  if (!table_at) return;
  table_ = std::make_unique<HandleTable>(kernel, *shape, *table_at);
  objects_ = std::make_unique<KernelObjects>(kernel, *objects, context_.find_export,
                                             context_.system, context_.drive_of);
}

std::string HandleNames::describe(Va process, std::uint64_t handle) {
  if (table_ == nullptr && tries_left_ > 0) find();
  if (table_ == nullptr) return {};
  const auto header = table_->header_of(process, handle);
  if (!header) return {};
  const auto what = objects_->describe(*header);
  if (!what) return {};
  const bool has_both = !what->type.empty() && !what->name.empty();
  return what->type + (has_both ? " " : "") + what->name;
}

}  // namespace swat::os::windows
