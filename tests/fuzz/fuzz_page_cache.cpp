// Page caches: a byte that is odd for a kernel of 32 bits, one for the kind of tree, where its
// direct map begins (eight bytes), how many pages are known, and an inode, an index and a frame of
// each, in four bytes each; the rest is RAM (input.hpp).
#include <cstdint>
#include <vector>

#include "input.hpp"
#include "osmodels/linux/page_cache.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  using namespace swat::fuzz;
  static InputRam ram(InputRam::Others::kAreMissing);
  Input input(data, size);
  os::KernelLayout words = os::kX86_64Layout;
  words.word_bytes = (input.take<std::uint8_t>() & 1) != 0 ? 4 : 8;
  os::PageCacheLayout layout;
  layout.nodes = static_cast<os::PageCacheLayout::Nodes>(input.take<std::uint8_t>() % 3);
  const Va base{input.take<std::uint64_t>()};
  words.lowest_address = base.value;
  std::vector<os::MappedFilePage> known(input.take<std::uint8_t>() % 32);
  for (os::MappedFilePage& page : known) {
    page.inode = base + input.take<std::uint32_t>();
    page.index = input.take<std::uint32_t>();
    page.at = Pa{std::uint64_t{input.take<std::uint32_t>()} << words.page_shift};
  }
  ram.load(input);
  InputMemory memory(ram, base);
  if (const auto found = os::infer_page_cache(memory, words, known)) {
    require(found->page_bytes > 0 && found->first_frame <= found->last_frame);
    layout = *found;
  } else {
    layout.inode_mapping = 0x30;
    layout.mapping_root = 0x10;
    layout.node_slots = 0x28;
    layout.page_bytes = 64;
    layout.page_mapping = 0x18;
    layout.page_index = 0x20;
    layout.page_of_frame_0 = base;
    layout.last_frame = 0xffff;
  }
  os::PageCache cache(memory, words, layout);
  for (const os::MappedFilePage& page : known) {
    const auto at = cache.find(page.inode, page.index);
    if (at) require(at->value >> words.page_shift <= layout.last_frame);
  }
  return 0;
}
