// An ELF file of this host, laid out where a guest has mapped what may be the same file.
//
// A program's own memory lacks what nobody has touched yet, and always the symbols that are not for
// dynamic linking. A copy of the file has all of it, once it is proven to be a copy.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "symbols/elf_image.hpp"
#include "symbols/memory.hpp"

namespace swat::symbols {

class ElfFile {
 public:
  using Bytes = std::shared_ptr<const std::vector<std::byte>>;

  // `base`: where the guest has mapped the file's offset 0. kBadImage: not an ELF file, or none
  // that can be mapped there.
  [[nodiscard]] static Result<ElfFile> place(Bytes bytes, Va base);

  [[nodiscard]] const ElfImage& image() const { return image_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return *bytes_; }

  // Whether the guest has mapped this file and no other. Compares all that no program writes to, as
  // far as the guest has it in memory: code, constants, the program headers and the build id behind
  // them. What `strip` takes off a file is not looked at. kFault: no page of code is in memory yet;
  // kNotFound: it is another file, and where they differ.
  [[nodiscard]] Result<> prove(VirtualMemory& guest) const;

  // What the guest would page in: of segments that no program writes to. kFault elsewhere.
  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) const;

 private:
  ElfFile(Bytes bytes, Va base, ElfImage image)
      : bytes_(std::move(bytes)), base_(base), image_(std::move(image)) {}
  [[nodiscard]] Result<bool> equals(VirtualMemory& guest, VaRange where) const;

  Bytes bytes_;
  Va base_;
  ElfImage image_;
};

// A guest's memory, and where that is absent, the file that `prove` has found to be mapped there.
class ElfFileBackedMemory final : public VirtualMemory {
 public:
  // Both outlive this.
  ElfFileBackedMemory(VirtualMemory& guest, const ElfFile& file) : guest_(guest), file_(file) {}
  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override;

 private:
  VirtualMemory& guest_;
  const ElfFile& file_;
};

}  // namespace swat::symbols
