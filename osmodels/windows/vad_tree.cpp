#include "osmodels/windows/vad_tree.hpp"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "osmodels/windows/loader_list.hpp"
#include "symbols/span_load.hpp"

namespace swat::os::windows {
namespace {

constexpr std::size_t kMostVads = 1 << 16;
constexpr unsigned kPageShift = 12;
constexpr std::size_t kVadBytes = 0x50;          // up to its last member that is read
constexpr std::uint32_t kImageSection = 1 << 5;  // MMSECTION_FLAGS.Image
// Of structures that have a section: "VadS" and "VadF" are shorter.
constexpr std::array<std::string_view, 3> kTags = {"Vad ", "Vadl", "Vadm"};

constexpr VadShape kUnknown(unsigned word_bytes, std::uint32_t first_build) {
  VadShape shape{};
  shape.word_bytes = word_bytes;
  shape.first_build = first_build;
  return shape;
}

// Ascending by build.
constexpr VadShape kShapes[] = {
    kUnknown(4, 0),
    {4, 2600, true, 0, 0x0c, 0x10, 0, 4, 0, 0, 0x18, false, 0x20, 0x24, false, 0x30, 4},
    {4, 3790, true, 8, 4, 8, 0x0c, 0x10, 0, 0, 0x18, false, 0x20, 0x24, false, 0x30, 4},
    {4, 6000, true, 8, 4, 8, 0x0c, 0x10, 0, 0, 0x24, true, 0x1c, 0x24, true, 0x30, 4},
    kUnknown(4, 9200),
    {4, 9600, true, 0, 0, 4, 0x0c, 0x10, 0, 0, 0x2c, true, 0x1c, 0x20, true, 0x30, 4},
    {8, 3790, true, 0x10, 8, 0x10, 0x18, 0x20, 0, 0, 0x30, false, 0x2c, 0x30, false, 0x58, 12},
    {8, 6000, true, 0x10, 8, 0x10, 0x18, 0x20, 0, 0, 0x48, true, 0x28, 0x30, true, 0x58, 12},
    {8, 6001, true, 0x10, 8, 0x10, 0x18, 0x20, 0, 0, 0x48, true, 0x38, 0x40, true, 0x58, 12},
    kUnknown(8, 9200),
    {8, 9600, true, 0, 0, 8, 0x18, 0x1c, 0x20, 0x21, 0x48, true, 0x38, 0x40, true, 0x58, 12},
};

class VadReader {
 public:
  VadReader(const KernelSpace& kernel, const VadShape& shape) : kernel_(kernel), shape_(shape) {}

  Result<std::vector<MappedImage>> read_all(Va root) {
    std::vector<MappedImage> images;
    std::unordered_set<Va> seen;
    std::vector<Va> waiting{root};
    std::size_t room = kMostPathBytes;
    while (!waiting.empty()) {
      const Va vad = waiting.back();
      waiting.pop_back();
      if (!kernel_.is_pointer(vad)) continue;
      if (seen.size() >= kMostVads || !seen.insert(vad).second) {
        return fail(Errc::kBadImage, "tree of address ranges without an end", vad.value);
      }
      std::array<std::byte, kVadBytes> bytes{};
      if (!kernel_.memory.read(vad, bytes)) continue;
      waiting.push_back(Va{word(bytes, shape_.left)});
      waiting.push_back(Va{word(bytes, shape_.right)});
      auto image = image_of(vad, bytes);
      if (!image) continue;
      if (image->path.size() > room) {
        return fail(Errc::kBadImage, "paths of mapped images without an end", vad.value);
      }
      room -= image->path.size();
      images.push_back(*std::move(image));
    }
    std::ranges::sort(images, {}, [](const MappedImage& image) { return image.range.start; });
    return images;
  }

 private:
  using Bytes = std::span<const std::byte>;

  [[nodiscard]] std::uint64_t word(Bytes bytes, std::size_t at) const {
    return symbols::load_word(bytes, at, kernel_.word_bytes).value_or(0);
  }
  [[nodiscard]] Result<std::uint64_t> word_at(Va at) const {
    return read_pointer(kernel_.memory, at, kernel_.word_bytes);
  }

  [[nodiscard]] std::uint64_t page(Bytes vad, std::uint16_t low, std::uint16_t high) const {
    if (high == 0) return word(vad, low);
    const auto low_bits = symbols::load<std::uint32_t>(vad, low).value_or(0);
    return low_bits | std::uint64_t{symbols::load<std::uint8_t>(vad, high).value_or(0)} << 32;
  }

  // kNotFound: it is none.
  [[nodiscard]] Result<MappedImage> image_of(Va vad, Bytes bytes) const {
    const auto none = fail(Errc::kNotFound, "no image", vad.value);
    std::array<char, 4> tag{};
    SWAT_CHECK(
        kernel_.memory.read(vad - shape_.header_tag, std::as_writable_bytes(std::span(tag))));
    const std::string_view text(tag.data(), tag.size());
    if (std::ranges::find(kTags, text) == kTags.end()) return none;
    Va area{word(bytes, shape_.section)};
    if (shape_.has_subsections) area = Va{SWAT_TRY(word_at(area))};
    const auto flags = SWAT_TRY(read_as<std::uint32_t>(kernel_.memory, area + shape_.area_flags));
    if ((flags & kImageSection) == 0) return none;
    const std::uint64_t references = shape_.counts_references ? 2 * kernel_.word_bytes - 1 : 0;
    const Va file{SWAT_TRY(word_at(area + shape_.area_file)) & ~references};
    if (file.is_null()) return none;
    MappedImage image;
    const std::uint64_t first = page(bytes, shape_.first_page, shape_.first_high);
    const std::uint64_t last = page(bytes, shape_.last_page, shape_.last_high);
    if (first > last || last >= user_end(kernel_.word_bytes) >> kPageShift) return none;
    image.range = {Va{first << kPageShift}, Va{(last + 1) << kPageShift}};
    // FILE_OBJECT has its type and size, 16 bits each, before that.
    image.device = Va{SWAT_TRY(word_at(file + kernel_.word_bytes))};
    image.path =
        SWAT_TRY(read_unicode_string(kernel_.memory, file + shape_.file_name, kernel_.word_bytes));
    return image;
  }

  const KernelSpace& kernel_;
  const VadShape& shape_;
};

}  // namespace

const VadShape* find_vad_shape(std::uint32_t build, unsigned word_bytes) {
  const VadShape* found = nullptr;
  for (const VadShape& shape : kShapes) {
    if (shape.word_bytes == word_bytes && shape.first_build <= build) found = &shape;
  }
  return found != nullptr && found->is_known ? found : nullptr;
}

Result<std::vector<MappedImage>> read_mapped_images(const KernelSpace& kernel,
                                                    const VadShape& shape, Va process) {
  const Va root_at = process + kernel.offsets.process_vad_root.value_or(0) + shape.root;
  const Va root{SWAT_TRY(read_pointer(kernel.memory, root_at, kernel.word_bytes))};
  return VadReader(kernel, shape).read_all(root);
}

}  // namespace swat::os::windows
