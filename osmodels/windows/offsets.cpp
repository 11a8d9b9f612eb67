#include "osmodels/windows/offsets.hpp"

#include <algorithm>

namespace swat::os::windows {

const std::vector<OffsetRow>& offset_rows() {
  static const std::vector<OffsetRow> rows = {
#include "osmodels/windows/offset_rows.inc"
  };
  return rows;
}

std::vector<const OffsetRow*> rows_near(std::uint32_t build, unsigned word_bytes) {
  std::optional<std::uint32_t> nearest;
  for (const OffsetRow& row : offset_rows()) {  // ascending
    if (row.word_bytes != word_bytes) continue;
    if (row.build <= build || !nearest) nearest = row.build;
  }
  std::vector<const OffsetRow*> rows;
  for (const OffsetRow& row : offset_rows()) {
    if (row.word_bytes == word_bytes && row.build == nearest) rows.push_back(&row);
  }
  return rows;
}

}  // namespace swat::os::windows
