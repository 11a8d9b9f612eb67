// A whole .BTF section, then questions of every kind to it.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "symbols/btf.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat::symbols;
  const auto section = std::as_bytes(std::span(data, size));
  const auto btf = Btf::parse(section);
  if (btf) {
    for (const std::string_view path : {"pid", "comm", "tasks.prev", "thread.matrix", "exit_byte",
                                        "sched_class", "usage.counter", "mm", ""})
      static_cast<void>(btf->member("task_struct", path));
    static_cast<void>(btf->size_of("atomic_t"));
    for (std::uint32_t id = 0; id <= btf->type_count() + 1; ++id) static_cast<void>(btf->type(id));
  }
  static_cast<void>(Btf::find({swat::Va{0xffffffff81000000}, section, 8}));
  return 0;
}
