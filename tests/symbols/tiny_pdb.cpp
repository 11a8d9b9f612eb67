#include "tiny_pdb.hpp"

#include <span>

namespace swat::symbols {
namespace {

constexpr std::uint32_t kInt = 0x74;

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

std::uint32_t blocks_of(std::size_t bytes) {
  return static_cast<std::uint32_t>((bytes + TinyPdb::kBlock - 1) / TinyPdb::kBlock);
}

TypeBytes info_stream() {
  TypeBytes info;
  info.put(20000404u).put(0x5a5a'5a5au).put(7u);
  for (std::uint8_t i = 0; i < 16; ++i) info.put(i);
  return info;
}

// Its age is 3, its machine x64.
TypeBytes debug_stream() {
  TypeBytes debug;
  debug.put(~0u).put(19990903u).put(3u);
  for (int i = 12; i < 58; i += 2) debug.put(std::uint16_t{0});
  return debug.put(std::uint16_t{0x8664}).put(0u);
}

}  // namespace

std::uint32_t TinyPdb::add(std::uint16_t kind, const TypeBytes& content) {
  TypeBytes head;
  head.put(static_cast<std::uint16_t>(content.bytes().size() + 2)).put(kind);
  append(records_, head.bytes());
  append(records_, content.bytes());
  return next_++;
}

std::uint32_t TinyPdb::add_structure(std::string_view name, std::uint32_t fields,
                                     bool is_declaration) {
  TypeBytes content;
  content.put(std::uint16_t{1}).put(std::uint16_t(is_declaration ? 0x80 : 0)).put(fields);
  content.put(0u).put(0u).put(std::uint16_t{16}).put_name(name);
  return add(0x1505, content);
}

TypeBytes& TinyPdb::put_member(TypeBytes& fields, std::string_view name, std::uint16_t offset,
                               std::uint32_t type) {
  fields.put(std::uint16_t{0x150d}).put(std::uint16_t{3}).put(type == 0 ? kInt : type);
  return fields.put(offset).put_name(name);
}

std::vector<std::byte> TinyPdb::file() const {
  TypeBytes types;
  types.put(20040203u).put(56u).put(kFirstType).put(next_);
  types.put(static_cast<std::uint32_t>(records_.size()));
  for (int i = 20; i < 56; i += 4) types.put(0u);
  std::vector<std::byte> type_stream = types.bytes();
  append(type_stream, records_);

  const std::uint32_t type_blocks = blocks_of(type_stream.size());
  const std::uint32_t block_count = kTypes / kBlock + type_blocks;
  const TypeBytes info = info_stream();
  const TypeBytes debug = debug_stream();
  TypeBytes directory;
  directory.put(4u).put(~0u).put(static_cast<std::uint32_t>(info.bytes().size()));
  directory.put(static_cast<std::uint32_t>(type_stream.size()));
  directory.put(static_cast<std::uint32_t>(debug.bytes().size()));
  directory.put(kInfo / kBlock);
  for (std::uint32_t i = 0; i < type_blocks; ++i) directory.put(block_count - 1 - i);
  directory.put(kDebug / kBlock);

  std::vector<std::byte> file(std::size_t{block_count} * kBlock);
  const auto put = [&](std::uint32_t at, std::span<const std::byte> bytes) {
    std::memcpy(file.data() + at, bytes.data(), bytes.size());
  };
  TypeBytes super;
  for (const char c : std::string_view("Microsoft C/C++ MSF 7.00\r\n\x1a\x44\x53\0\0\0", 32)) {
    super.put(c);
  }
  super.put(kBlock).put(1u).put(block_count);
  super.put(static_cast<std::uint32_t>(directory.bytes().size())).put(0u).put(kList / kBlock);
  put(0, super.bytes());
  const std::uint32_t directory_block = kDirectory / kBlock;
  put(kList, std::as_bytes(std::span(&directory_block, 1)));
  put(kDirectory, directory.bytes());
  put(kInfo, info.bytes());
  put(kDebug, debug.bytes());
  for (std::uint32_t i = 0; i < type_blocks; ++i) {
    const auto rest = std::span(type_stream).subspan(std::size_t{i} * kBlock);
    put((block_count - 1 - i) * kBlock, rest.first(std::min<std::size_t>(rest.size(), kBlock)));
  }
  return file;
}

}  // namespace swat::symbols
