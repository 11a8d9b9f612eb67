// Any bytes as a file of --files: laid out, compared with itself, its .symtab read. Seeds: the
// programs of tests/symbols/samples.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "symbols/elf_file.hpp"
#include "symbols/elf_symtab.hpp"

namespace swat::symbols {
namespace {

// Where the linkers put programs that are not to be relocated; and a place for all others.
constexpr Va kBases[] = {Va{0x10000}, Va{0x200000}, Va{0x400000}};

void require(bool holds) {
  if (!holds) std::abort();
}

// A guest that has mapped the file, and nothing else.
class Guest final : public VirtualMemory {
 public:
  explicit Guest(const ElfFile& file) : file_(file) {}
  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    return file_.read(at, into);
  }

 private:
  const ElfFile& file_;
};

void read_all(const ElfFile& file) {
  Guest guest(file);
  const auto same = file.prove(guest);
  require(same || same.error().code == Errc::kFault);
  ElfFileBackedMemory both(guest, file);
  static_cast<void>(file.image().exports(both));
  static_cast<void>(file.image().import_slots(both));
  const auto functions = functions_by_symtab(file);
  if (!functions) return;
  for (const ElfFunction& f : *functions) require(file.image().extent().contains(f.address));
}

}  // namespace
}  // namespace swat::symbols

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto shared = std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
  for (const swat::Va base : swat::symbols::kBases) {
    const auto file = swat::symbols::ElfFile::place(shared, base);
    if (file) swat::symbols::read_all(*file);
  }
  return 0;
}
