// The container that a PDB is: streams, each of blocks that lie anywhere in the file. A user's
// file, and nobody knows whose before. [llvm.org/docs/PDB/MsfFile.html]
//
// The first block says how large blocks are, and where there is a list of the blocks that the
// directory is in. The directory has the number of streams, the size of each, and the blocks of
// each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "symbols/result.hpp"

namespace swat::symbols {

class MsfFile {
 public:
  // Whether the first bytes are those of such a file.
  [[nodiscard]] static bool is_magic(std::span<const std::byte> file);
  // `file` outlives this. kBadImage: it is none, or its directory reaches out of it.
  [[nodiscard]] static Result<MsfFile> open(std::span<const std::byte> file);

  [[nodiscard]] std::size_t stream_count() const { return streams_.size(); }
  // A copy, no larger than the file. kNotFound: there is none of that number.
  [[nodiscard]] Result<std::vector<std::byte>> stream(std::size_t number) const;

 private:
  struct Stream {
    std::uint32_t size_bytes;
    std::size_t blocks_at;  // in the directory
  };

  MsfFile(std::span<const std::byte> file, std::uint32_t block_bytes)
      : file_(file), block_bytes_(block_bytes) {}

  [[nodiscard]] Result<> read_directory();
  // Of blocks whose numbers `list` has from `at` on.
  [[nodiscard]] Result<std::vector<std::byte>> gather(std::span<const std::byte> list,
                                                      std::uint64_t at,
                                                      std::uint32_t size_bytes) const;
  [[nodiscard]] std::uint64_t block_count(std::uint32_t size_bytes) const {
    return (std::uint64_t{size_bytes} + block_bytes_ - 1) / block_bytes_;
  }

  std::span<const std::byte> file_;
  std::uint32_t block_bytes_;
  std::vector<std::byte> directory_;
  std::vector<Stream> streams_;
};

}  // namespace swat::symbols
