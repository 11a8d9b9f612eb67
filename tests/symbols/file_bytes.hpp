// An ELF file's bytes, to be laid out by ElfFile or to be made to lie.
#pragma once

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "mapped_file.hpp"
#include "symbols/elf_file.hpp"

namespace swat::symbols {

inline std::vector<std::byte> bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<std::byte> bytes(std::filesystem::file_size(path));
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

inline ElfFile::Bytes shared(std::vector<std::byte> bytes) {
  return std::make_shared<const std::vector<std::byte>>(std::move(bytes));
}

template <class T>
T at_start(const std::vector<std::byte>& bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

template <class T>
void put_at_start(std::vector<std::byte>& bytes, const T& value) {
  std::memcpy(bytes.data(), &value, sizeof(T));
}

// Where a program that is not to be relocated is mapped.
inline Va link_base(const std::filesystem::path& path) {
  const auto mapped = MappedFile::load(path, 0, MappedFile::Pointers::kAsLinked);
  return mapped ? mapped->base() : Va{};
}

inline Result<ElfFile> place(const std::filesystem::path& path) {
  return ElfFile::place(shared(bytes_of(path)), link_base(path));
}

}  // namespace swat::symbols
