// The file is one QEMU migration stream without RAM. All numbers are big-endian.
//
//   'QEVM' u32 version=3
//   section: 04, u32 section_id, u8 length, idstr, u32 instance_id, u32 version_id, data,
//            7e, u32 section_id
//   00
//
// A section does not say how long it is, so the CPUs' are searched for. Their `data` starts with
// the fields below, unchanged from QEMU 7.2 to 11.1 (only subsections were added after them). [QEMU
// migration/savevm.c, target/i386/machine.c vmstate_x86_cpu; facts/qemu.md section 5]
#include "gdbproto/device_state.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace swat::gdbproto {
namespace {

constexpr std::size_t kMaxVcpus = 1024;  // what the largest machine type of QEMU takes, and more
constexpr std::uint32_t kFileMagic = 0x5145564d;
constexpr std::uint32_t kFileVersion = 3;
constexpr std::uint32_t kCpuVersion = 12;  // of the section, since QEMU 1.x until at least 11.1

constexpr unsigned char kSectionFull = 0x04;
constexpr std::string_view kCpuName(
    "\x03"
    "cpu",
    4);
constexpr std::size_t kNameAt = 5;  // from the start of a section
constexpr std::size_t kInstanceAt = kNameAt + kCpuName.size();
constexpr std::size_t kVersionAt = kInstanceAt + 4;
constexpr std::size_t kDataAt = kVersionAt + 4;

// Offsets into a CPU's data. `word` is the size of target_ulong, 4 or 8.
struct Layout {
  std::size_t word;
  std::size_t tr_base;
  std::size_t gdt_base;
  std::size_t gdt_limit;
  std::size_t idt_base;
  std::size_t idt_limit;
  std::size_t sysenter_esp;
  std::size_t sysenter_eip;
  std::size_t cr3;
  std::size_t star;  // with lstar, cstar and kernel_gs_base: 0 where the target has none
  std::size_t lstar;
  std::size_t cstar;
  std::size_t kernel_gs_base;
  std::size_t size;
};

constexpr Layout kX86_64{8,     0x17c, 0x190, 0x198, 0x1a4, 0x1ac, 0x1b8,
                         0x1c0, 0x1d8, 0x338, 0x340, 0x348, 0x358, 0x360};
constexpr Layout kI386{4,     0x0f8, 0x108, 0x10c, 0x118, 0x11c, 0x128,
                       0x12c, 0x138, 0,     0,     0,     0,     0x140};

// Big-endian bytes whose bounds the caller has checked.
std::uint64_t number(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (const std::byte b : bytes) value = value << 8 | std::to_integer<std::uint64_t>(b);
  return value;
}

std::uint32_t u32(std::span<const std::byte> bytes, std::size_t at) {
  return static_cast<std::uint32_t>(number(bytes.subspan(at, 4)));
}

X86SystemRegisters decode(std::span<const std::byte> cpu, const Layout& layout) {
  const auto word = [&](std::size_t at) { return number(cpu.subspan(at, layout.word)); };
  X86SystemRegisters out;
  out.idt_base = Va{word(layout.idt_base)};
  out.gdt_base = Va{word(layout.gdt_base)};
  out.tr_base = Va{word(layout.tr_base)};
  out.idt_limit = u32(cpu, layout.idt_limit);
  out.gdt_limit = u32(cpu, layout.gdt_limit);
  out.sysenter_eip = Va{word(layout.sysenter_eip)};
  out.sysenter_esp = Va{word(layout.sysenter_esp)};
  out.cr3 = word(layout.cr3);
  if (layout.lstar == 0) return out;
  out.star = word(layout.star);
  out.lstar = Va{word(layout.lstar)};
  out.cstar = Va{word(layout.cstar)};
  out.kernel_gs_base = word(layout.kernel_gs_base);
  return out;
}

// The first CPU section at or after `from`, or nullopt. `instance` is the vCPU it must be of: a
// device's buffer may hold look-alike bytes of the guest's making, but CPUs come before devices.
std::optional<std::size_t> find_cpu(std::span<const std::byte> file, std::size_t from,
                                    std::uint32_t instance, const Layout& layout) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  for (std::size_t name = text.find(kCpuName, from + kNameAt); name != std::string_view::npos;
       name = text.find(kCpuName, name + 1)) {
    const std::size_t start = name - kNameAt;
    const std::span<const std::byte> rest = file.subspan(start);
    if (rest.size() < kDataAt + layout.size) return std::nullopt;
    if (rest[0] == std::byte{kSectionFull} && u32(rest, kInstanceAt) == instance &&
        u32(rest, kVersionAt) == kCpuVersion) {
      return start;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<X86SystemRegisters>> parse_x86_device_state(std::span<const std::byte> file,
                                                               bool is_64_bit) {
  if (file.size() < 8 || u32(file, 0) != kFileMagic || u32(file, 4) != kFileVersion) {
    return fail(Errc::kBadImage, "device state without QEMU's header");
  }
  const Layout& layout = is_64_bit ? kX86_64 : kI386;
  std::vector<X86SystemRegisters> vcpus;
  std::size_t at = 8;
  while (vcpus.size() < kMaxVcpus) {
    const auto found = find_cpu(file, at, static_cast<std::uint32_t>(vcpus.size()), layout);
    if (!found) break;
    vcpus.push_back(decode(file.subspan(*found + kDataAt), layout));
    at = *found + kDataAt + layout.size;
  }
  if (vcpus.empty()) return fail(Errc::kNotFound, "device state without a vCPU");
  return vcpus;
}

}  // namespace swat::gdbproto
