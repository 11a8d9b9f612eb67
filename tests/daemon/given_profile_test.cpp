// Files of --profile: which they are, and what is said of those that are of no use.
#include "daemon/given_profile.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "temp_folder.hpp"
#include "tests/symbols/tiny_pdb.hpp"

namespace swat::daemon {
namespace {

using Json = nlohmann::json;
using Offsets = std::map<std::string, std::uint32_t, std::less<>>;
using symbols::MemberProfile;

constexpr std::string_view kWanted[] = {"_EPROCESS.Peb", "_KPCR.Prcb.CurrentThread"};

// As Volatility's pdbconv writes it: schema 6.2.0.
Json isf() {
  return Json::parse(R"({
    "metadata": {"format": "6.2.0", "producer": {"name": "test", "version": "1"},
                 "windows": {"pdb": {"GUID": "0123456789ABCDEF0123456789ABCDEF", "age": 2,
                                     "database": "ntkrnlmp.pdb", "machine_type": 34404}}},
    "base_types": {"pointer": {"size": 8, "kind": "int", "signed": false, "endian": "little"}},
    "enums": {}, "symbols": {},
    "user_types": {
      "_EPROCESS": {"kind": "struct", "size": 2624, "fields": {
        "Peb": {"offset": 1360, "type": {"kind": "pointer",
                                         "subtype": {"kind": "struct", "name": "_PEB"}}}}},
      "_KPRCB": {"kind": "struct", "size": 4096, "fields": {
        "CurrentThread": {"offset": 8, "type": {"kind": "pointer",
                                         "subtype": {"kind": "struct", "name": "_KTHREAD"}}}}},
      "_KPCR": {"kind": "struct", "size": 8192, "fields": {
        "Prcb": {"offset": 384, "type": {"kind": "struct", "name": "_KPRCB"}}}}}})");
}

class GivenProfileTest : public testing::Test {
 protected:
  Result<MemberProfile> read(std::string_view content, const std::string& name = "file") {
    path_ = folder_.file(name);
    std::ofstream(path_, std::ios::binary) << content;
    return read_given_profile(path_, kWanted);
  }
  Result<MemberProfile> read_json(const Json& isf) { return read(isf.dump()); }
  // What is said of it, behind its name.
  std::string complaint(const Result<MemberProfile>& answer) {
    if (answer) return "none";
    EXPECT_EQ(answer.error().code, Errc::kUsage);
    const std::string start = "--profile " + path_ + ": ";
    EXPECT_TRUE(answer.error().what.starts_with(start)) << answer.error().what;
    return answer.error().what.substr(start.size());
  }

  TempFolder folder_;
  std::string path_;
};

TEST_F(GivenProfileTest, IsASymbolTableOfVolatility) {
  const auto profile = read_json(isf());
  ASSERT_TRUE(profile) << profile.error().what;
  EXPECT_EQ(profile->path, path_);
  EXPECT_EQ(profile->id,
            (symbols::PeDebugId{"0123456789abcdef0123456789abcdef", 2, "ntkrnlmp.pdb"}));
  EXPECT_EQ(profile->machine, symbols::kPeMachineX86_64);
  EXPECT_EQ(profile->offsets,
            (Offsets{{"_EPROCESS.Peb", 1360}, {"_KPCR.Prcb.CurrentThread", 392}}));
}

TEST_F(GivenProfileTest, IsAPdb) {
  symbols::TinyPdb pdb;
  symbols::TypeBytes fields;
  symbols::TinyPdb::put_member(fields, "Peb", 0x550, 0);
  pdb.add_structure("_EPROCESS", pdb.add_fields(fields));
  const auto bytes = pdb.file();
  const auto profile =
      read({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "ntkrnlmp.pdb");
  ASSERT_TRUE(profile) << profile.error().what;
  EXPECT_EQ(profile->id.file, "ntkrnlmp.pdb");
  EXPECT_EQ(profile->path, path_);
  EXPECT_EQ(profile->offsets, (Offsets{{"_EPROCESS.Peb", 0x550}}));
}

TEST_F(GivenProfileTest, HasNoMembersBehindPointersNorWhereOffsetsAreNone) {
  Json behind_pointer = isf();
  Json& prcb = behind_pointer["user_types"]["_KPCR"]["fields"]["Prcb"]["type"];
  prcb = {{"kind", "pointer"}, {"subtype", prcb}};
  EXPECT_EQ(read_json(behind_pointer)->offsets, (Offsets{{"_EPROCESS.Peb", 1360}}));
  for (const Json& none : {Json(-8), Json(1.5), Json("1360"), Json(0x1'0000'0000), Json()}) {
    Json odd = isf();
    odd["user_types"]["_EPROCESS"]["fields"]["Peb"]["offset"] = none;
    EXPECT_EQ(read_json(odd)->offsets, (Offsets{{"_KPCR.Prcb.CurrentThread", 392}})) << none;
  }
}

TEST_F(GivenProfileTest, SaysWhatIsWrongWithAFile) {
  EXPECT_EQ(complaint(read("MZ")), "neither a PDB nor a symbol table (ISF) of Volatility 3");
  EXPECT_EQ(complaint(read("")), "neither a PDB nor a symbol table (ISF) of Volatility 3");
  EXPECT_EQ(complaint(read("{]")), "no symbol table of Volatility 3");
  EXPECT_EQ(complaint(read("\xfd"
                           "7zXZ...")),
            "it is compressed: unpack it first");
  EXPECT_EQ(complaint(read("Microsoft C/C++ program database 2.00\r\n\x1aJG")),
            "a PDB of a format before 7.0, which is not read");
  Json of_linux = isf();
  of_linux["metadata"].erase("windows");
  EXPECT_EQ(complaint(read_json(of_linux)), "a symbol table that is not of a Windows kernel");
  Json of_no_image = isf();
  of_no_image["metadata"]["windows"]["pdb"].erase("age");
  EXPECT_EQ(complaint(read_json(of_no_image)),
            "a symbol table that says of no PDB that it is made from it");
  Json of_another = isf();
  of_another["user_types"] = {{"_FILE", {{"fields", Json::object()}}}};
  EXPECT_EQ(complaint(read_json(of_another)), "of no NT kernel, as it has none of its structures");
}

TEST_F(GivenProfileTest, IsAFile) {
  path_ = folder_.file("missing");
  EXPECT_EQ(complaint(read_given_profile(path_, kWanted)), "No such file or directory");
  path_ = "/dev/zero";
  EXPECT_EQ(complaint(read_given_profile(path_, kWanted)), "it is no regular file");
}

}  // namespace
}  // namespace swat::daemon
