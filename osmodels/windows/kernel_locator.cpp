#include "osmodels/windows/kernel_locator.hpp"

#include <array>
#include <span>

#include "osmodels/linux/kernel_locator.hpp"
#include "osmodels/windows/code_search.hpp"
#include "osmodels/x86/disassembler.hpp"

namespace swat::os::windows {
namespace {

constexpr std::uint64_t kPage = 4096;
// From code up to the image's base. 10.0.19041 has 16 MiB in all.
constexpr std::uint64_t kMostBefore = 64 << 20;
// PAE and multiprocessor kernels have it, too.
constexpr std::string_view kKernelName = "ntoskrnl.exe";
constexpr std::uint64_t kRootBits = 0x000f'ffff'ffff'f000;  // of a CR3 with 4 levels

// KUSER_SHARED_DATA as processes see it: the page tables that KVAS has for user mode map it, too.
constexpr Va kSharedDataOfUsers{0x7ffe'0000};

// NtSystemRoot begins with a drive: "C:\\". Cheap to ask of a guest of any kind.
bool has_shared_data(VirtualMemory& space, Va at) {
  constexpr std::uint64_t kSystemRootAt = 0x30;
  std::array<char16_t, 3> root{};
  if (!space.read(at + kSystemRootAt, std::as_writable_bytes(std::span(root)))) return false;
  return root[0] >= u'A' && root[0] <= u'Z' && root[1] == u':' && root[2] == u'\\';
}

struct CodePointer {
  Va at;
  std::string name;
};

// Divide error, page fault, and int 2e, whose handlers are the kernel's own.
constexpr unsigned kVectors[] = {0, 14, 0x2e};

std::vector<CodePointer> code_pointers(VirtualMemory& space, const X86SystemTables& tables,
                                       unsigned word_bytes) {
  std::vector<CodePointer> pointers;
  if (word_bytes == 8 && tables.lstar) pointers.push_back({*tables.lstar, "LSTAR"});
  if (word_bytes == 4 && tables.sysenter_eip) {
    pointers.push_back({*tables.sysenter_eip, "SYSENTER_EIP"});
  }
  for (const unsigned vector : kVectors) {
    const auto gate = read_idt_gate(space, tables.idt_base, vector, word_bytes);
    if (gate) pointers.push_back({gate->target, "IDT gate " + std::to_string(vector)});
  }
  return pointers;
}

// What is not mapped on the way (discarded INIT, paged PAGE sections, padding) is passed over.
// kFault: there may be one, and a page of its tables is absent.
Result<symbols::PeImage> image_around(VirtualMemory& space, Va code) {
  Error why{Errc::kNotFound, "no NT kernel's image around its code", code.value};
  const Va lowest{code.value > kMostBefore ? code.value - kMostBefore : 0};
  for (Va at = code.aligned_down(kPage); at >= lowest && !at.is_null(); at = at - kPage) {
    const auto magic = read_as<std::uint16_t>(space, at);
    if (!magic || *magic != 0x5a4d) continue;
    auto image = symbols::PeImage::open(space, at);
    if (!image || !image->extent().contains(code)) continue;
    const auto name = image->export_name(space);
    if (name && *name == kKernelName) return image;
    if (!name && name.error().code == Errc::kFault) why = name.error();
  }
  return tl::unexpected(why);
}

// Where the entry at LSTAR takes the CR3 from that it switches to: `mov rsp, gs:[disp]` and
// `mov cr3, rsp`. nullopt: it does not switch.
std::optional<std::uint64_t> kernel_root_in_kpcr(VirtualMemory& space, Va entry) {
  constexpr int kMaxInstructions = 12;
  const auto disassembler = x86::Disassembler::open(64);
  std::optional<std::uint64_t> last;
  Va at = entry;
  for (int i = 0; disassembler && i < kMaxInstructions; ++i) {
    const auto insn = disassembler->at(space, at);
    if (!insn) break;
    if (insn->writes_cr3()) return last;
    if ((*insn)->id == X86_INS_MOV) last = insn->gs_offset(1);
    at = insn->next();  // over the branch that a processor without shadowing takes
  }
  return {};
}

// Where nothing tells LSTAR: with shadowing the kernel's code that user mode has mapped, too, is of
// one section, which has the handlers of interrupts. nullopt: there is no switch around this one.
std::optional<std::uint64_t> kernel_root_in_kpcr_around(VirtualMemory& space, Va handler) {
  constexpr std::uint64_t kMostOfSection = 128 << 10;
  constexpr std::array<std::uint8_t, 8> kStart = {0x0f, 0x01, 0xf8, 0x65,   // swapgs
                                                  0x48, 0x89, 0x24, 0x25};  // mov gs:[disp32],rsp
  const VaRange around{handler - kMostOfSection, handler + kMostOfSection};
  for (const Va entry : find_code(space, around, kStart, 8)) {
    if (const auto disp = kernel_root_in_kpcr(space, entry)) return disp;
  }
  return {};
}

// In user mode the kernel's GS is what swapgs would bring.
std::vector<Va> kernel_gs(GuestView& guest, unsigned vcpu) {
  constexpr std::uint64_t kLowestKernel = 0xffff'8000'0000'0000;
  std::vector<Va> bases;
  for (const char* name : {"gs_base", "k_gs_base"}) {
    const auto base = guest.reg(vcpu, name);
    if (base && *base >= kLowestKernel) bases.push_back(Va{*base});
  }
  return bases;
}

std::vector<Pa> candidate_roots(GuestView& guest, unsigned vcpu, const PageGeometry& geometry,
                                const X86SystemTables& tables) {
  std::vector<Pa> roots;
  const auto cr3 = guest.reg(vcpu, "cr3");
  if (!cr3) return roots;
  roots.push_back(root_of(geometry, *cr3));
  AddressSpace space(guest.ram(), geometry, roots.front());
  std::optional<std::uint64_t> disp;
  const auto gate = read_idt_gate(space, tables.idt_base, kVectors[0], 8);
  if (tables.lstar) {
    disp = kernel_root_in_kpcr(space, *tables.lstar);
  } else if (gate && va_bits_of(geometry) > 32) {
    disp = kernel_root_in_kpcr_around(space, gate->target);
  }
  if (!disp) return roots;
  for (const Va kpcr : kernel_gs(guest, vcpu)) {
    const auto root = read_as<std::uint64_t>(space, kpcr + *disp);
    if (root) roots.insert(roots.begin(), root_of(geometry, *root));
  }
  return roots;
}

// The exports are part of what makes it a kernel: nothing can be found without them.
Result<LocatedKernel> locate_in(GuestView& guest, const PageGeometry& geometry, Pa root,
                                const X86SystemTables& tables, unsigned word_bytes) {
  AddressSpace space(guest.ram(), geometry, root);
  Error why{Errc::kNotFound, "no NT kernel is mapped", {}};
  for (const CodePointer& pointer : code_pointers(space, tables, word_bytes)) {
    auto image = image_around(space, pointer.at);
    if (!image) {
      if (image.error().code == Errc::kFault) why = image.error();
      continue;
    }
    const auto exports = image->exports(space);
    if (!exports) return tl::unexpected(exports.error());
    LocatedKernel kernel{&geometry, root, *std::move(image), {}, pointer.name};
    for (const symbols::PeExport& e : *exports) {
      if (!e.is_forwarder() && !e.name.empty()) kernel.exports.emplace(e.name, e.address);
    }
    return kernel;
  }
  return tl::unexpected(why);
}

Result<LocatedKernel> locate_on(GuestView& guest, unsigned vcpu) {
  const PageGeometry& geometry = *SWAT_TRY(x86_geometry(guest, vcpu));
  const unsigned word_bytes = va_bits_of(geometry) > 32 ? 8 : 4;
  AddressSpace current(guest.ram(), geometry, root_of(geometry, SWAT_TRY(guest.reg(vcpu, "cr3"))));
  if (!has_shared_data(current, kSharedDataOfUsers) &&
      !has_shared_data(current, shared_user_data(word_bytes))) {
    return fail(Errc::kNotFound, "there is no data that NT shares with its processes");
  }
  const X86SystemTables tables = SWAT_TRY(guest.x86_tables(vcpu));
  Error why{Errc::kNotFound, "no NT kernel is mapped", {}};
  for (const Pa root : candidate_roots(guest, vcpu, geometry, tables)) {
    auto kernel = locate_in(guest, geometry, root, tables, word_bytes);
    if (kernel) return kernel;
    if (kernel.error().code == Errc::kFault) why = kernel.error();
  }
  return tl::unexpected(why);
}

}  // namespace

Va shared_user_data(unsigned word_bytes) {
  return Va{word_bytes == 8 ? 0xffff'f780'0000'0000 : 0xffdf'0000};
}

Pa root_of(const PageGeometry& geometry, std::uint64_t cr3) {
  const std::uint64_t bits = va_bits_of(geometry) > 32 ? kRootBits : 0xffff'ffff;
  return Pa{cr3 & bits & ~(root_bytes(geometry) - 1)};
}

Result<LocatedKernel> locate_kernel(GuestView& guest) {
  if (guest.architecture() != Architecture::kI386 &&
      guest.architecture() != Architecture::kX86_64) {
    return fail(Errc::kNotFound, "Windows runs on x86 only, as far as swatd knows");
  }
  // A vCPU that has not been started yet tells nothing, and one that runs NT is enough.
  Error why{Errc::kNotFound, "no vCPU", {}};
  for (unsigned vcpu = 0; vcpu < guest.vcpu_count(); ++vcpu) {
    auto kernel = locate_on(guest, vcpu);
    if (kernel || kernel.error().code == Errc::kDisconnected) return kernel;
    if (why.code != Errc::kFault) why = kernel.error();
  }
  return fail(why.code == Errc::kFault ? why.code : Errc::kNotFound, why.what, why.guest);
}

namespace {

// Base of a segment by its descriptor in a GDT. [Intel SDM vol. 3, 3.4.5]
Result<Va> segment_base(VirtualMemory& kernel, Va gdt, unsigned selector) {
  const auto raw = SWAT_TRY(read_as<std::uint64_t>(kernel, gdt + selector));
  return Va{(raw >> 16 & 0xff'ffff) | (raw >> 56 & 0xff) << 24};
}

}  // namespace

// KPCR.Self and, on x64, KPCR.CurrentPrcb behind it, which is a part of the KPCR.
Result<Va> find_kpcr(GuestView& guest, unsigned vcpu, VirtualMemory& kernel, unsigned word_bytes) {
  constexpr unsigned kKernelFs = 0x30;
  if (word_bytes == 8) {
    for (const Va base : kernel_gs(guest, vcpu)) {
      const auto self = read_as<std::uint64_t>(kernel, base + 0x18);
      if (self && Va{*self} == base) return base;
    }
    return fail(Errc::kNotFound, "no GS base is a KPCR's");
  }
  const X86SystemTables tables = SWAT_TRY(guest.x86_tables(vcpu));
  const Va base = SWAT_TRY(segment_base(kernel, tables.gdt_base, kKernelFs));
  if (Va{SWAT_TRY(read_as<std::uint32_t>(kernel, base + 0x1c))} == base) return base;
  return fail(Errc::kNotFound, "selector 30 of the GDT is no KPCR's", base.value);
}

}  // namespace swat::os::windows
