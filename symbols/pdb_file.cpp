#include "symbols/pdb_file.hpp"

#include <array>

#include "symbols/guid.hpp"
#include "symbols/msf_file.hpp"
#include "symbols/pdb_types.hpp"
#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

constexpr std::string_view kAnyMagic = "Microsoft C/C++ ";  // and of 2.00: "program database"

// Streams whose numbers are fixed.
constexpr std::size_t kInfoStream = 1;
constexpr std::size_t kTypeStream = 2;
constexpr std::size_t kDebugStream = 3;

struct InfoStream {
  std::uint32_t version;
  std::uint32_t time_stamp;
  std::uint32_t age;
  std::array<std::byte, 16> guid;
};
static_assert(sizeof(InfoStream) == 28);
constexpr std::uint32_t kVersion70 = 20000404;  // the first with a GUID

constexpr std::uint64_t kAgeAt = 8;
constexpr std::uint64_t kMachineAt = 58;

// The image has the age of the debug stream: that of the information stream goes on when tools
// change the file later.
Result<> read_id(const MsfFile& msf, MemberProfile& profile) {
  const auto info_bytes = SWAT_TRY(msf.stream(kInfoStream));
  const auto info = load<InfoStream>(info_bytes, 0);
  if (!info) return fail(Errc::kBadImage, "a PDB that says of no image that it is its");
  if (info->version < kVersion70) return fail(Errc::kUnsupported, "a PDB without a GUID");
  profile.id.guid = guid_to_hex(info->guid);
  const auto debug = SWAT_TRY(msf.stream(kDebugStream));
  const auto age = load<std::uint32_t>(debug, kAgeAt);
  const auto machine = load<std::uint16_t>(debug, kMachineAt);
  if (!age || !machine) return fail(Errc::kBadImage, "a PDB that says of no machine");
  profile.id.age = *age;
  profile.machine = *machine;
  return {};
}

}  // namespace

bool is_pdb(std::span<const std::byte> file) { return as_text(file).starts_with(kAnyMagic); }

Result<MemberProfile> read_pdb(std::span<const std::byte> file, MemberNames wanted) {
  if (is_pdb(file) && !MsfFile::is_magic(file)) {
    return fail(Errc::kUnsupported, "a PDB of a format before 7.0, which is not read");
  }
  const MsfFile msf = SWAT_TRY(MsfFile::open(file));
  MemberProfile profile;
  SWAT_CHECK(read_id(msf, profile));
  const auto stream = SWAT_TRY(msf.stream(kTypeStream));
  const PdbTypes types = SWAT_TRY(PdbTypes::open(stream));
  for (const std::string_view name : wanted) {
    const auto offset = types.offset(name);
    if (offset) {
      profile.offsets.emplace(name, *offset);
    } else if (offset.error().code != Errc::kNotFound) {
      return tl::unexpected(offset.error());
    }
  }
  return profile;
}

}  // namespace swat::symbols
