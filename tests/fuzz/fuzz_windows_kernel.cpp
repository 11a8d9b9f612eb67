// The search for an NT kernel from a vCPU's registers: flags, CR3, the entry of system calls, GS of
// the kernel, GDT and IDT, of eight bytes each; the rest is RAM (input.hpp). Entries are within the
// first 64 KiB, so that scans back from there are short.
#include <cstdint>

#include "input.hpp"
#include "osmodels/windows/kernel_locator.hpp"

namespace swat::fuzz {
namespace {

constexpr std::uint8_t kNarrow = 1;  // bits of the flags
constexpr std::uint8_t kPae = 2;
constexpr std::uint8_t kTellsNoEntry = 4;
constexpr std::uint64_t kMostOfCode = 1 << 16;

class CountingRam final : public PhysicalMemory {
 public:
  explicit CountingRam(PhysicalMemory& ram) : ram_(ram) {}
  [[nodiscard]] const std::vector<PaRange>& ranges() const override { return ram_.ranges(); }
  [[nodiscard]] Result<> read(Pa at, std::span<std::byte> into) override {
    constexpr std::size_t kMostReads = 2 << 20;
    require(++reads_ <= kMostReads);
    return ram_.read(at, into);
  }

 private:
  PhysicalMemory& ram_;
  std::size_t reads_ = 0;
};

class InputView final : public os::GuestView {
 public:
  InputView(PhysicalMemory& ram, Input& input)
      : ram_(ram), flags_(input.take<std::uint8_t>()), cr3_(input.take<std::uint64_t>()) {
    const Va entry{input.take<std::uint64_t>() % kMostOfCode};
    if ((flags_ & kTellsNoEntry) == 0) tables_.lstar = tables_.sysenter_eip = entry;
    kernel_gs_ = input.take<std::uint64_t>();
    tables_.gdt_base = Va{input.take<std::uint64_t>()};
    tables_.idt_base = Va{input.take<std::uint64_t>()};
  }

  [[nodiscard]] unsigned word_bytes() const { return (flags_ & kNarrow) != 0 ? 4 : 8; }
  [[nodiscard]] os::Architecture architecture() const override {
    return (flags_ & kNarrow) != 0 ? os::Architecture::kI386 : os::Architecture::kX86_64;
  }
  [[nodiscard]] unsigned vcpu_count() const override { return 1; }
  [[nodiscard]] Result<std::uint64_t> reg(unsigned, std::string_view name) override {
    constexpr std::uint64_t kPaging = std::uint64_t{1} << 31;
    if (name == "cr0") return kPaging;
    if (name == "cr3") return cr3_;
    if (name == "cr4") return (flags_ & kPae) != 0 ? 1U << 5 : 0U;
    if (name == "efer") return (flags_ & kNarrow) != 0 ? 0U : 1U << 10;
    if (name == "k_gs_base") return kernel_gs_;
    return fail(Errc::kNotFound, "no such register");
  }
  [[nodiscard]] Result<os::X86SystemTables> x86_tables(unsigned) override { return tables_; }
  [[nodiscard]] PhysicalMemory& ram() override { return ram_; }

 private:
  PhysicalMemory& ram_;
  std::uint8_t flags_;
  std::uint64_t cr3_;
  std::uint64_t kernel_gs_ = 0;
  os::X86SystemTables tables_;
};

void check(InputView& view, const os::windows::LocatedKernel& kernel) {
  require(kernel.geometry != nullptr && !kernel.found_by.empty());
  require(kernel.root.value % os::root_bytes(*kernel.geometry) == 0);
  os::AddressSpace space(view.ram(), *kernel.geometry, kernel.root);
  require(read_as<std::uint16_t>(space, kernel.image.extent().start) == std::uint16_t{0x5a4d});
  require(kernel.image.export_name(space) == std::string("ntoskrnl.exe"));
  for (const auto& [name, at] : kernel.exports) {
    require(!name.empty() && kernel.image.extent().contains(at));
  }
  const auto kpcr = os::windows::find_kpcr(view, 0, space, view.word_bytes());
  if (!kpcr) return;
  const std::uint64_t self_at = view.word_bytes() == 8 ? 0x18 : 0x1c;
  require(read_as<std::uint32_t>(space, *kpcr + self_at) ==
          static_cast<std::uint32_t>(kpcr->value));
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  using namespace swat::fuzz;
  static InputRam words(InputRam::Others::kAreMissing);
  Input input(data, size);
  CountingRam ram(words);
  InputView view(ram, input);
  words.load(input);
  const auto kernel = os::windows::locate_kernel(view);
  if (kernel) {
    check(view, *kernel);
  } else {
    require(!kernel.error().what.empty());
  }
  return 0;
}
