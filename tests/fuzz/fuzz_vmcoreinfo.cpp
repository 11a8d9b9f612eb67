// Memory with a VMCOREINFO text and a banner somewhere in it.
#include <cstddef>
#include <cstdint>
#include <span>

#include "symbols/vmcoreinfo.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat::symbols;
  const KernelImage image{swat::Va{0xc0000000}, std::as_bytes(std::span(data, size)), 4};
  const auto info = Vmcoreinfo::find(image);
  if (info) {
    static_cast<void>(info->symbol("_stext"));
    static_cast<void>(info->number("phys_base"));
    static_cast<void>(info->text("KERNELOFFSET"));
  }
  static_cast<void>(find_linux_banner(image));
  return 0;
}
