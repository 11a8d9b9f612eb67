// A user address space without any structure of the kernel's: the ELF images whose headers are in
// its pages, what ld.so tells of them, the path on its stack. The address of its first page, of
// eight bytes; what is from there on as RAM (input.hpp), all of whose pages are present. Seeds: of
// those of fuzz_elf_image.
#include <cstdint>

#include "input.hpp"
#include "osmodels/linux/mapped_images.hpp"
#include "osmodels/linux/program_path.hpp"

namespace swat::fuzz {
namespace {

os::UserPages present_pages(InputRam& ram, Va base) {
  constexpr std::uint64_t kPages = 1024;
  os::UserPages pages;
  for (std::uint64_t page = 0; page < kPages; ++page) {
    const Pa at{page * InputRam::kPageBytes};
    std::byte first{};
    if (ram.read(at, {&first, 1})) pages.emplace(base + at.value, os::UserPage{at, page % 4 != 3});
  }
  return pages;
}

void look(os::MappedImages& images, InputRam& ram, Va base, const os::UserPages& pages,
          const std::vector<os::ImageRef>& others) {
  InputMemory memory(ram, base);
  require(images.look(ram, memory, pages, others).has_value());
  Va end{};
  for (const os::ImageRef& image : images.all()) {
    require(image->extent.start >= end && image->extent.contains(image->base));
    end = image->extent.end;
  }
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  using namespace swat::fuzz;
  static InputRam ram(InputRam::Others::kAreMissing);
  Input input(data, size);
  const Va base = Va{input.take<std::uint64_t>()}.aligned_down(InputRam::kPageBytes);
  ram.load(input);
  os::UserPages pages = present_pages(ram, base);
  os::MappedImages images;
  look(images, ram, base, pages, {});
  os::MappedImages of_child;
  look(of_child, ram, base, pages, images.all());
  InputMemory memory(ram, base);
  for (const unsigned word_bytes : {4U, 8U}) {
    const auto program = os::find_program_path(memory, pages, word_bytes);
    if (program) require(!program->path.empty() && pages.contains(program->stack_top - 4096));
  }
  if (!pages.empty()) pages.erase(pages.begin());
  look(images, ram, base, pages, of_child.all());
  return 0;
}
