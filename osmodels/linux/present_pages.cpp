#include "osmodels/linux/present_pages.hpp"

namespace swat::os::inference {
namespace {

// [include/linux/mm.h]
constexpr std::uint64_t kRead = 1;
constexpr std::uint64_t kWrite = 2;
constexpr std::uint64_t kExec = 4;
constexpr std::uint64_t kMayRead = 0x10;

// Whether pages of this CPU show what may not be executed: not where KPTI marks all user pages not
// executable in the kernel's own tables [__pti_set_user_pgtbl], or page tables cannot mark one so
// (i386 without PAE, CPUs without NX).
bool shows_execution(const std::vector<PresentPage>& pages) {
  const auto executable = static_cast<std::size_t>(
      std::ranges::count_if(pages, [](const PresentPage& page) { return page.to.executable; }));
  // Most pages are data, but a kernel that cannot use NX may have set it for one of its own.
  return executable != 0 && (pages.size() - executable) * 4 >= pages.size();
}

}  // namespace

std::vector<PresentPage> present_pages(AddressSpace& user, const std::vector<Vma>& vmas) {
  constexpr std::size_t kPagesEach = 16;
  constexpr std::uint64_t kPage = 4096;
  std::vector<PresentPage> pages;
  for (const Vma& vma : vmas) {
    Va at = vma.range.start;
    for (std::size_t i = 0; i < kPagesEach && at < vma.range.end; ++i, at = at + kPage) {
      const Result<Translation> to = user.translate(at);
      if (!to || !to->user) continue;
      pages.push_back({&vma, *to});
      break;
    }
  }
  return pages;
}

// A writable page needs a writable VMA, but not the other way round. Execution is exact.
std::size_t pages_that_agree(const std::vector<PresentPage>& pages, std::uint32_t offset,
                             const KernelLayout& layout) {
  const bool shows_exec = shows_execution(pages);
  std::size_t agree = 0;
  std::size_t may_read = 0;
  for (const PresentPage& page : pages) {
    const std::uint64_t flags = page.vma->blob.word(offset);
    agree += !layout.is_address(flags) && (flags & kRead) != 0 &&
                     (!shows_exec || ((flags & kExec) != 0) == page.to.executable) &&
                     (!page.to.writable || (flags & kWrite) != 0)
                 ? 1
                 : 0;
    may_read += (flags & kMayRead) != 0 ? 1 : 0;
  }
  return may_read * 4 >= pages.size() * 3 ? agree : 0;  // not the vvar page of 3.16
}

}  // namespace swat::os::inference
