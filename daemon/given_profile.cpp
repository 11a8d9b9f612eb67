#include "daemon/given_profile.hpp"

#include <filesystem>
#include <fstream>
#include <vector>

#include "daemon/isf_members.hpp"
#include "symbols/pdb_file.hpp"
#include "symbols/span_load.hpp"

namespace swat::daemon {
namespace {

using symbols::MemberProfile;

constexpr std::uintmax_t kLargest = 128 << 20;  // bytes; ntkrnlmp.pdb has some 12 million

Result<std::vector<std::byte>> contents_of(const std::string& path) {
  std::error_code error;
  // Anything else may keep us waiting.
  if (!std::filesystem::is_regular_file(path, error)) {
    return fail(Errc::kUsage, error ? error.message() : "it is no regular file");
  }
  const std::uintmax_t size_bytes = std::filesystem::file_size(path, error);
  if (error) return fail(Errc::kUsage, error.message());
  if (size_bytes > kLargest) return fail(Errc::kUsage, "it is too large");
  std::vector<std::byte> bytes(size_bytes);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) return fail(Errc::kUsage, "it cannot be read");
  return bytes;
}

bool is_packed(std::string_view text) {
  constexpr std::string_view kXz =
      "\xfd"
      "7zXZ";
  return text.starts_with(kXz) || text.starts_with("\x1f\x8b") || text.starts_with("BZh") ||
         text.starts_with("MSCF");
}

Result<MemberProfile> read(const std::string& path, symbols::MemberNames wanted) {
  const auto bytes = SWAT_TRY(contents_of(path));
  const std::string_view text = symbols::as_text(bytes);
  if (is_packed(text)) return fail(Errc::kUsage, "it is compressed: unpack it first");
  if (symbols::is_pdb(bytes)) {
    MemberProfile profile = SWAT_TRY(symbols::read_pdb(bytes, wanted));
    profile.id.file = std::filesystem::path(path).filename().string();
    return profile;
  }
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == text.npos || text[start] != '{') {
    return fail(Errc::kUsage, "neither a PDB nor a symbol table (ISF) of Volatility 3");
  }
  return read_isf_members(text, wanted);
}

}  // namespace

Result<MemberProfile> read_given_profile(const std::string& path, symbols::MemberNames wanted) {
  auto profile = read(path, wanted);
  if (!profile) return fail(Errc::kUsage, "--profile " + path + ": " + profile.error().what);
  if (profile->offsets.empty()) {
    return fail(Errc::kUsage,
                "--profile " + path + ": of no NT kernel, as it has none of its structures");
  }
  profile->path = path;
  return profile;
}

}  // namespace swat::daemon
