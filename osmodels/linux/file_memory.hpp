// A process's memory, and where it has not touched a file that it has mapped, what the page cache
// holds of that.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "osmodels/linux/page_cache.hpp"
#include "osmodels/model.hpp"
#include "osmodels/page_table.hpp"

namespace swat::os {

// Pages that page tables have of files, for infer_page_cache(): some of each mapping that nobody
// writes to.
[[nodiscard]] std::vector<MappedFilePage> mapped_file_pages(AddressSpace& user,
                                                            const std::vector<Mapping>& mappings,
                                                            const KernelLayout& layout);

class FileMemory final : public VirtualMemory {
 public:
  // `ram` and `cache` outlive this.
  FileMemory(PhysicalMemory& ram, AddressSpace user, const PageCache& cache, unsigned page_shift,
             std::vector<Mapping> mappings)
      : ram_(ram),
        user_(std::move(user)),
        cache_(cache),
        page_shift_(page_shift),
        mappings_(std::move(mappings)) {}

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override;

 private:
  [[nodiscard]] Result<Pa> find(Va at);

  PhysicalMemory& ram_;
  AddressSpace user_;
  PageCache cache_;
  unsigned page_shift_;
  std::vector<Mapping> mappings_;
};

}  // namespace swat::os
