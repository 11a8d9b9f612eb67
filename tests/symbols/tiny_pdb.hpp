// A whole PDB in blocks of 512 bytes, of type records that a test writes.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace swat::symbols {

// A record, or a list of members, as it is written.
class TypeBytes {
 public:
  template <class T>
  TypeBytes& put(T value) {
    const auto at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
    return *this;
  }
  TypeBytes& put_name(std::string_view name) {
    for (const char c : name) put(c);
    return put('\0');
  }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

class TinyPdb {
 public:
  static constexpr std::uint32_t kBlock = 512;
  static constexpr std::uint32_t kFirstType = 0x1000;
  // Where things are in the file's bytes.
  static constexpr std::uint32_t kSuperBlock = 32;
  static constexpr std::uint32_t kDirectoryBytes = kSuperBlock + 12;
  static constexpr std::uint32_t kList = 3 * kBlock, kDirectory = 4 * kBlock;
  static constexpr std::uint32_t kInfo = 5 * kBlock, kDebug = 6 * kBlock, kTypes = 7 * kBlock;

  // Each returns the number of its type.
  std::uint32_t add(std::uint16_t kind, const TypeBytes& content);
  std::uint32_t add_structure(std::string_view name, std::uint32_t fields,
                              bool is_declaration = false);
  std::uint32_t add_fields(const TypeBytes& members) { return add(0x1203, members); }
  static TypeBytes& put_member(TypeBytes& fields, std::string_view name, std::uint16_t offset,
                               std::uint32_t type);

  // Of all that has been added; the types' blocks are in reverse order.
  [[nodiscard]] std::vector<std::byte> file() const;

 private:
  std::vector<std::byte> records_;
  std::uint32_t next_ = kFirstType;
};

}  // namespace swat::symbols
