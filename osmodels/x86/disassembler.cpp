#include "osmodels/x86/disassembler.hpp"

namespace swat::os::x86 {

Result<Disassembler> Disassembler::open(unsigned bits) {
  std::unique_ptr<csh, Close> handle(new csh{});
  if (cs_open(CS_ARCH_X86, bits == 32 ? CS_MODE_32 : CS_MODE_64, handle.get()) != CS_ERR_OK) {
    return fail(Errc::kUnsupported, "Capstone cannot disassemble x86");
  }
  cs_option(*handle, CS_OPT_DETAIL, CS_OPT_ON);
  return Disassembler(std::move(handle));
}

Result<Instruction> Disassembler::at(VirtualMemory& memory, Va address) const {
  constexpr std::size_t kLongest = 15;  // [Intel SDM vol. 2, 2.3.11]
  constexpr std::uint64_t kPage = 4096;
  std::array<std::byte, kLongest> code;
  std::size_t size = kLongest;
  // The next page may be missing although the instruction ends before it.
  if (!memory.read(address, code)) {
    size = std::min<std::size_t>(size, kPage - address.value % kPage);
    SWAT_CHECK(memory.read(address, std::span(code).first(size)));
  }
  cs_insn* insn = nullptr;
  const auto* raw = reinterpret_cast<const std::uint8_t*>(code.data());
  if (cs_disasm(*handle_, raw, size, address.value, 1, &insn) != 1) {
    return fail(Errc::kBadImage, "no instruction", address.value);
  }
  return Instruction(insn);
}

}  // namespace swat::os::x86
