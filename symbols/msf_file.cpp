#include "symbols/msf_file.hpp"

#include <algorithm>
#include <bit>
#include <string_view>

#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

constexpr std::string_view kMagic{"Microsoft C/C++ MSF 7.00\r\n\x1a\x44\x53\0\0\0", 32};

struct SuperBlock {
  std::uint32_t block_bytes;
  std::uint32_t free_map_block;
  std::uint32_t block_count;
  std::uint32_t directory_bytes;
  std::uint32_t unknown;
  std::uint32_t directory_list_block;
};
static_assert(sizeof(SuperBlock) == 24);

constexpr std::uint32_t kLeastBlock = 512;
constexpr std::uint32_t kLargestBlock = 64 << 10;
constexpr std::uint32_t kNoStream = 0xffff'ffff;  // as the size of one that was removed

}  // namespace

bool MsfFile::is_magic(std::span<const std::byte> file) {
  return as_text(file).starts_with(kMagic);
}

Result<MsfFile> MsfFile::open(std::span<const std::byte> file) {
  const auto super = load<SuperBlock>(file, kMagic.size());
  if (!is_magic(file) || !super) return fail(Errc::kBadImage, "no PDB of format 7.0");
  if (!std::has_single_bit(super->block_bytes) || super->block_bytes < kLeastBlock ||
      super->block_bytes > kLargestBlock) {
    return fail(Errc::kBadImage, "a PDB with blocks of odd size");
  }
  MsfFile msf(file, super->block_bytes);
  const std::uint64_t list_at = std::uint64_t{super->directory_list_block} * super->block_bytes;
  msf.directory_ = SWAT_TRY(msf.gather(file, list_at, super->directory_bytes));
  SWAT_CHECK(msf.read_directory());
  return msf;
}

Result<> MsfFile::read_directory() {
  constexpr std::uint64_t kWord = sizeof(std::uint32_t);
  const auto count = load<std::uint32_t>(directory_, 0);
  if (!count || !holds(directory_, kWord, *count * kWord)) {
    return fail(Errc::kBadImage, "a PDB whose directory is cut off");
  }
  std::uint64_t blocks_at = (1 + std::uint64_t{*count}) * kWord;
  for (std::uint32_t i = 0; i < *count; ++i) {
    std::uint32_t size_bytes = *load<std::uint32_t>(directory_, (1 + std::uint64_t{i}) * kWord);
    if (size_bytes == kNoStream) size_bytes = 0;
    streams_.push_back({size_bytes, blocks_at});
    blocks_at += block_count(size_bytes) * kWord;
  }
  return {};
}

Result<std::vector<std::byte>> MsfFile::gather(std::span<const std::byte> list, std::uint64_t at,
                                               std::uint32_t size_bytes) const {
  if (size_bytes > file_.size()) {
    return fail(Errc::kBadImage, "a PDB with a stream larger than the file");
  }
  std::vector<std::byte> bytes;
  bytes.reserve(size_bytes);
  for (std::uint64_t i = 0; i < block_count(size_bytes); ++i) {
    const auto block = load<std::uint32_t>(list, at + i * sizeof(std::uint32_t));
    const std::size_t piece = std::min<std::size_t>(block_bytes_, size_bytes - bytes.size());
    const std::uint64_t from = std::uint64_t{block.value_or(0)} * block_bytes_;
    if (!block || !holds(file_, from, piece)) {
      return fail(Errc::kBadImage, "a PDB with blocks outside the file");
    }
    const auto content = file_.subspan(from, piece);
    bytes.insert(bytes.end(), content.begin(), content.end());
  }
  return bytes;
}

Result<std::vector<std::byte>> MsfFile::stream(std::size_t number) const {
  if (number >= streams_.size() || streams_[number].size_bytes == 0) {
    return fail(Errc::kNotFound, "a PDB without stream " + std::to_string(number));
  }
  return gather(directory_, streams_[number].blocks_at, streams_[number].size_bytes);
}

}  // namespace swat::symbols
