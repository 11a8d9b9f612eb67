#include "osmodels/linux/mapped_images.hpp"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "symbols/elf_image.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kLargestGranule = 1 << 16;  // of AArch64
constexpr std::size_t kMostPages = 1 << 18;         // 1 GiB of small ones
constexpr std::size_t kMostImages = 1024;
constexpr std::size_t kMostEvidence = 1024;  // pages kept of one image

// FNV-1a of the page that has the header, the program headers and mostly the build id.
// [http://www.isthe.com/chongo/tech/comp/fnv/]
Result<std::uint64_t> identity_of(VirtualMemory& memory, Va base) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte b : SWAT_TRY(read_bytes(memory, base, kPage))) {
    hash = (hash ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3;
  }
  return hash;
}

// "" where there is none; an error where that cannot be told yet.
Result<std::string> optional_text(Result<std::string> text) {
  if (!text && text.error().code == Errc::kNotFound) return std::string();
  return text;
}

// Old linkers can make code and data one segment (-N).
UserPages evidence_of(const std::vector<symbols::ElfLayout::Load>& loads, const UserPages& pages) {
  UserPages found;
  for (const auto& load : loads) {
    if (load.writable && !load.executable) continue;
    const VaRange where = load.pages();
    for (auto page = pages.lower_bound(where.start);
         page != pages.end() && page->first < where.end && found.size() < kMostEvidence; ++page) {
      found.insert(*page);
    }
  }
  return found;
}

// Of an image without PT_DYNAMIC: a file that is mapped to be looked at has no code that may run.
bool has_code(const MappedImage& image) {
  return std::ranges::any_of(image.evidence, [&](const auto& page) {
    return page.second.executable && std::ranges::any_of(image.loads, [&](const auto& load) {
             return load.executable && load.pages().contains(page.first);
           });
  });
}

// Of a module with PT_DYNAMIC. kFault: ld.so is not done with it, or the page with its name has not
// been touched.
Result<> take_names(VirtualMemory& memory, const symbols::ElfImage& elf, const LinkMap& link_map,
                    MappedImage& image) {
  SWAT_CHECK(elf.check_dynamic(memory));
  const auto listed = link_map.find(elf.dynamic()->start);
  auto soname = optional_text(elf.soname(memory));
  if (listed != link_map.end()) {
    image.loaded_as = listed->second;
    image.soname = std::move(soname).value_or("");
    return {};
  }
  image.soname = SWAT_TRY(std::move(soname));
  image.interpreter = SWAT_TRY(optional_text(elf.interpreter(memory)));
  image.is_program = image.soname.empty() && !image.interpreter.empty();
  const bool is_told = link_map.empty() || image.is_program || image.is_vdso();
  return is_told ? Result<>() : fail(Errc::kFault, "not loaded yet", image.base.value);
}

// kFault: it is not all there yet.
Result<MappedImage> read_image(VirtualMemory& memory, Va base, const UserPages& pages,
                               const LinkMap& link_map) {
  const auto elf = SWAT_TRY(symbols::ElfImage::open(memory, base));
  MappedImage image;
  image.base = base;
  image.extent = elf.extent();
  image.loads = elf.layout().loads;
  image.is_64_bit = elf.is_64_bit();
  image.evidence = evidence_of(image.loads, pages);
  image.identity = SWAT_TRY(identity_of(memory, base));
  if (elf.has_dynamic()) {
    SWAT_CHECK(take_names(memory, elf, link_map, image));
    return image;
  }
  if (!has_code(image)) return fail(Errc::kFault, "none of its code is there", base.value);
  image.is_program = true;
  return image;
}

Va base_of(const ImageRef& image) { return image->base; }

}  // namespace

Result<UserPages> present_user_pages(AddressSpace& space, const VaRange& user) {
  UserPages pages;
  SWAT_CHECK(space.for_each_leaf(user, [&](Va at, const Translation& to) {
    const bool is_whole = to.page_bytes <= kLargestGranule;
    for (std::uint64_t o = 0; to.user && o < (is_whole ? to.page_bytes : kPage); o += kPage) {
      pages.emplace(at + o, UserPage{to.at + o, to.executable});
    }
    return pages.size() < kMostPages;
  }));
  if (pages.size() < kMostPages) return pages;
  return fail(Errc::kBadImage, "a page table of too many pages", space.root().value);
}

bool MappedImage::is_in(const UserPages& pages) const {
  const auto first = pages.lower_bound(extent.start);
  if (first == pages.end() || first->first >= extent.end) return false;
  return std::ranges::any_of(evidence, [&](const auto& page) {
    const auto there = pages.find(page.first);
    return there != pages.end() && there->second.at == page.second.at;
  });
}

Result<> MappedImages::look(PhysicalMemory& ram, VirtualMemory& memory, const UserPages& pages,
                            const std::vector<ImageRef>& others) {
  SWAT_CHECK(find_headers(ram, pages));
  keep_present(pages);
  read_images(memory, pages);
  adopt(pages, others);
  seen_ = pages;
  return {};
}

// Of the program: nobody else has DT_DEBUG filled in.
LinkMap MappedImages::link_map(VirtualMemory& memory) const {
  for (const auto& [base, page] : headers_) {
    const auto elf = symbols::ElfImage::open(memory, base);
    if (!elf || !elf->has_dynamic()) continue;
    LinkMap found = read_link_map(memory, *elf);
    if (!found.empty()) return found;
  }
  return {};
}

// What is still there has other pages by now.
void MappedImages::keep_present(const UserPages& pages) {
  std::erase_if(images_, [&](const ImageRef& image) { return !image->is_in(pages); });
  for (ImageRef& known : images_) {
    MappedImage image = *known;
    image.evidence = evidence_of(image.loads, pages);
    known = std::make_shared<const MappedImage>(std::move(image));
  }
}

Result<> MappedImages::find_headers(PhysicalMemory& ram, const UserPages& pages) {
  std::erase_if(headers_, [&](const auto& header) {
    const auto page = pages.find(header.first);
    return page == pages.end() || page->second.at != header.second;
  });
  for (const auto& [at, page] : pages) {
    const auto seen = seen_.find(at);
    if (seen != seen_.end() && seen->second.at == page.at) continue;
    std::array<std::byte, SELFMAG> magic{};
    const auto read = ram.read(page.at, magic);
    if (!read && read.error().code == Errc::kDisconnected) return read;
    if (!read || std::memcmp(magic.data(), ELFMAG, SELFMAG) != 0) continue;
    if (headers_.size() < kMostImages) headers_.emplace(at, page.at);
  }
  return {};
}

void MappedImages::read_images(VirtualMemory& memory, const UserPages& pages) {
  const LinkMap listed = link_map(memory);
  for (auto here = headers_.begin(); here != headers_.end();) {
    const auto header = here++;
    if (std::ranges::find(images_, header->first, base_of) != images_.end()) continue;
    auto image = read_image(memory, header->first, pages, listed);
    if (image && is_free(image->extent)) {
      add(*std::move(image));
    } else if (!image && image.error().code != Errc::kFault) {
      headers_.erase(header);
    }
  }
}

void MappedImages::adopt(const UserPages& pages, const std::vector<ImageRef>& others) {
  for (const ImageRef& other : others) {
    if (images_.size() >= kMostImages) return;
    if (!is_free(other->extent) || !other->is_in(pages)) continue;
    MappedImage image = *other;
    image.evidence = evidence_of(image.loads, pages);
    add(std::move(image));
  }
}

bool MappedImages::is_free(const VaRange& extent) const {
  return std::ranges::none_of(
      images_, [&](const ImageRef& image) { return image->extent.overlaps(extent); });
}

void MappedImages::add(MappedImage image) {
  const auto after = std::ranges::upper_bound(images_, image.base, {}, base_of);
  images_.insert(after, std::make_shared<const MappedImage>(std::move(image)));
}

}  // namespace swat::os
