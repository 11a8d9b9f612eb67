#include "mapped_pe.hpp"

#include <algorithm>
#include <cstring>

#include "file_bytes.hpp"

namespace swat::symbols {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kSectionBytes = 40;

template <class T>
T get(const std::vector<std::byte>& bytes, std::size_t at) {
  T value;
  std::memcpy(&value, std::span(bytes).subspan(at, sizeof(T)).data(), sizeof(T));
  return value;
}

}  // namespace

std::optional<MappedPe> MappedPe::load(const std::filesystem::path& path, Va base) {
  const std::vector<std::byte> file = bytes_of(path);
  constexpr std::size_t kDosHeaderBytes = 64;
  if (file.size() < kDosHeaderBytes || get<std::uint16_t>(file, 0) != 0x5a4d) return {};
  const std::size_t header = get<std::uint32_t>(file, 60);
  if (get<std::uint32_t>(file, header) != 0x4550) return {};
  MappedPe out;
  out.base_ = base;
  const std::size_t optional_header = header + 24;
  const std::size_t size = get<std::uint32_t>(file, optional_header + 56);
  out.bytes_.resize((size + kPage - 1) & ~(kPage - 1));
  std::copy_n(file.begin(), get<std::uint32_t>(file, optional_header + 60), out.bytes_.begin());
  const std::size_t sections = optional_header + get<std::uint16_t>(file, header + 20);
  for (std::size_t i = 0; i < get<std::uint16_t>(file, header + 6); ++i) {
    const std::size_t section = sections + i * kSectionBytes;
    const std::size_t at = get<std::uint32_t>(file, section + 12);
    const std::size_t from = get<std::uint32_t>(file, section + 20);
    const std::size_t bytes = std::min({std::size_t{get<std::uint32_t>(file, section + 16)},
                                        out.bytes_.size() - at, file.size() - from});
    std::copy_n(file.begin() + long(from), from == 0 ? 0 : bytes, out.bytes_.begin() + long(at));
  }
  return out;
}

Result<> MappedPe::read(Va at, std::span<std::byte> into) {
  const Va end = at + into.size();
  for (Va page = at.aligned_down(kPage); page < end; page = page + kPage) {
    if (!extent().contains(page) || page == lost_) {
      return fail(Errc::kFault, "not mapped", std::max(page, at).value);
    }
  }
  std::copy_n(bytes_.begin() + long(at - base_), into.size(), into.begin());
  return {};
}

std::vector<Va> MappedPe::pages() const {
  std::vector<Va> out;
  for (Va page = base_; page < extent().end; page = page + kPage) out.push_back(page);
  return out;
}

}  // namespace swat::symbols
