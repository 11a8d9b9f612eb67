// PE files laid out as in memory: PeImage, LLVM and LIEF agree on every export and import slot.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <sstream>

#include "mapped_pe.hpp"
#include "pe_reference.hpp"
#include "symbols/pe_image.hpp"

namespace swat::symbols {
namespace {

namespace fs = std::filesystem;
using Export = ReferencePe::Export;
using Import = ReferencePe::Import;

constexpr Va kBase64{0x7ff8'1234'0000};
constexpr Va kBase32{0x7601'0000};

Va base_for(const fs::path& path) {
  const bool narrow = path.string().find("i386") != std::string::npos ||
                      path.string().find("i686") != std::string::npos;
  return narrow ? kBase32 : kBase64;
}

std::string to_text(const Export& row) {
  std::ostringstream out;
  out << '#' << row.ordinal << ' ' << row.name << std::hex << " at " << row.rva << " -> "
      << row.forwarder;
  return out.str();
}

std::string to_text(const Import& row) {
  std::ostringstream out;
  out << std::hex << row.slot << std::dec << ' ' << row.library << '!' << row.name << '#'
      << (row.ordinal ? std::to_string(*row.ordinal) : "") << (row.is_delayed ? " delayed" : "");
  return out.str();
}

template <class Row>
std::string difference(std::vector<Row> ours, std::vector<Row> theirs) {
  std::ranges::sort(ours);
  std::ranges::sort(theirs);
  std::string text;
  std::vector<Row> only;
  std::ranges::set_difference(ours, theirs, std::back_inserter(only));
  for (const Row& row : only) text += "\n  only we: " + to_text(row);
  only.clear();
  std::ranges::set_difference(theirs, ours, std::back_inserter(only));
  for (const Row& row : only) text += "\n  only they: " + to_text(row);
  return text.substr(0, 2000);
}

// What PeImage reads, in the words of the other programs.
std::optional<ReferencePe> read_ours(MappedPe& memory, std::string& why) {
  const auto image = PeImage::open(memory, memory.base());
  if (!image) return why = "open: " + image.error().what, std::nullopt;
  const auto exports = image->exports(memory);
  if (!exports) return why = "exports: " + exports.error().what, std::nullopt;
  const auto imports = image->imports(memory);
  if (!imports) return why = "imports: " + imports.error().what, std::nullopt;
  ReferencePe out;
  out.machine = image->machine();
  out.image_bytes = static_cast<std::uint32_t>(image->extent().size());
  out.export_name = image->export_name(memory).value_or("");
  for (const PeExport& e : *exports) {
    const bool has_place = !e.is_forwarder();
    const std::uint64_t rva = has_place ? e.address - memory.base() : 0;
    out.exports.push_back({e.ordinal, e.name, static_cast<std::uint32_t>(rva), e.forwarder});
  }
  for (const PeImport& i : *imports) {
    out.imports.push_back({static_cast<std::uint32_t>(i.slot - memory.base()), i.library, i.name,
                           i.ordinal, i.is_delayed});
  }
  return out;
}

std::string compare(const ReferencePe& ours, const ReferencePe& theirs) {
  std::string out;
  if (ours.machine != theirs.machine) out += "machine\n";
  if (ours.image_bytes != theirs.image_bytes) out += "size\n";
  if (ours.export_name != theirs.export_name) out += "own name\n";
  return out + difference(ours.exports, theirs.exports) + difference(ours.imports, theirs.imports);
}

// LIEF 0.9 knows neither delayed imports nor exports without a name.
ReferencePe as_lief_has_it(ReferencePe ours) {
  std::erase_if(ours.imports, [](const Import& row) { return row.is_delayed; });
  std::erase_if(ours.exports, [](const Export& row) { return row.name.empty(); });
  return ours;
}

std::vector<fs::path> samples() {
  return {fs::path(SWAT_PE_SAMPLES) / "x86_64-sample.dll",
          fs::path(SWAT_PE_SAMPLES) / "i686-sample.dll"};
}

class PeSamples : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(samples().front())) GTEST_SKIP() << "no clang with lld-link built the samples";
    if (!read_with_llvm(samples().front())) GTEST_SKIP() << "no llvm-readobj on this machine";
  }
};

TEST_F(PeSamples, ReadAsLlvmAndLiefReadThem) {
  for (const fs::path& path : samples()) {
    auto memory = MappedPe::load(path, base_for(path));
    ASSERT_TRUE(memory) << path;
    std::string why;
    const auto ours = read_ours(*memory, why);
    ASSERT_TRUE(ours) << path << ' ' << why;
    EXPECT_EQ(compare(*ours, read_with_llvm(path).value_or(ReferencePe{})), "") << path;
    EXPECT_EQ(compare(as_lief_has_it(*ours), read_pe_with_lief(path).value_or(ReferencePe{})), "")
        << path;
  }
}

TEST_F(PeSamples, ExportAndImportWhatTheSourceSays) {
  for (const fs::path& path : samples()) {
    auto memory = MappedPe::load(path, base_for(path));
    ASSERT_TRUE(memory) << path;
    const auto image = PeImage::open(*memory, memory->base());
    ASSERT_TRUE(image);
    const auto exports = image->exports(*memory);
    const auto imports = image->imports(*memory);
    ASSERT_TRUE(exports && imports);
    const auto named = [&](const char* name) -> const PeExport& {
      return *std::ranges::find(*exports, name, &PeExport::name);
    };
    EXPECT_EQ(exports->size(), 7u);
    EXPECT_TRUE(named("exported").is_code && !named("exported_datum").is_code);
    EXPECT_EQ(named("").ordinal, 40u);
    EXPECT_EQ(named("twice").address, named("also_twice").address);
    // The linker puts an underscore before it, as before every name of 32-bit code.
    EXPECT_TRUE(named("forwarded").forwarder.ends_with("host.provided"));
    EXPECT_TRUE(named("forwarded_by_ordinal").forwarder.ends_with("host.#7"));
    EXPECT_TRUE(named("forwarded").address.is_null());
    ASSERT_EQ(imports->size(), 3u);
    const auto late = std::ranges::find(*imports, "provided_late", &PeImport::name);
    ASSERT_NE(late, imports->end());
    EXPECT_TRUE(late->is_delayed);
    EXPECT_EQ(std::ranges::count(*imports, std::optional<std::uint16_t>(7), &PeImport::ordinal), 1);
  }
}

TEST_F(PeSamples, NameTheirDebugInformationAsReadobjDoes) {
  for (const fs::path& path : samples()) {
    auto memory = MappedPe::load(path, base_for(path));
    ASSERT_TRUE(memory) << path;
    const auto image = PeImage::open(*memory, memory->base());
    ASSERT_TRUE(image);
    const auto ours = image->debug_id(*memory);
    const auto theirs = read_with_llvm(path);
    ASSERT_TRUE(ours && theirs);
    ASSERT_EQ(theirs->guid.size(), 32u);
    // The first three parts are numbers, of which the file has the lowest byte first.
    std::string expected;
    for (const std::size_t byte : {3, 2, 1, 0, 5, 4, 7, 6}) {
      expected += theirs->guid.substr(byte * 2, 2);
    }
    EXPECT_EQ(ours->guid, expected + theirs->guid.substr(16));
    EXPECT_EQ(ours->age, theirs->age);
    EXPECT_EQ(ours->file, theirs->debug_file);
  }
}

TEST_F(PeSamples, LosingAnyPageIsAFaultThereOrNoDifference) {
  for (const fs::path& path : samples()) {
    auto memory = MappedPe::load(path, base_for(path));
    ASSERT_TRUE(memory) << path;
    const auto image = PeImage::open(*memory, memory->base());
    ASSERT_TRUE(image);
    const auto whole = image->exports(*memory);
    ASSERT_TRUE(whole);
    std::size_t faults = 0;
    for (const Va page : memory->pages()) {
      memory->lose_page(page);
      if (const auto again = PeImage::open(*memory, memory->base()); page == memory->base()) {
        EXPECT_TRUE(!again && again.error().code == Errc::kFault);
      }
      const auto some = image->exports(*memory);
      if (some) {
        EXPECT_EQ(*some, *whole);
      } else {
        EXPECT_EQ(some.error().code, Errc::kFault);
        EXPECT_EQ(Va{some.error().guest.value_or(0)}.aligned_down(4096), page);
        ++faults;
      }
    }
    EXPECT_EQ(faults, 1u);
  }
}

// Those that most of Windows' programs load; SWAT_ALL: all.
bool is_selected(const fs::path& path) {
  static const std::set<std::string> kUsual = {
      "advapi32.dll", "gdi32.dll",  "kernel32.dll", "kernelbase.dll", "msvcrt.dll", "ntdll.dll",
      "ole32.dll",    "rpcrt4.dll", "ucrtbase.dll", "user32.dll",     "win32u.dll", "ws2_32.dll"};
  return std::getenv("SWAT_ALL") != nullptr || kUsual.contains(path.filename().string());
}

// Libraries of scripts/fetch-wine: SWAT_PE_FOLDERS=a/amd64:a/i386
TEST(PeFiles, EveryLibraryReadsAsLlvmAndLiefReadIt) {
  const char* named = std::getenv("SWAT_PE_FOLDERS");
  if (named == nullptr) GTEST_SKIP() << "SWAT_PE_FOLDERS names no folders";
  std::istringstream list(named);
  std::size_t files = 0;
  std::size_t exports = 0;
  std::size_t forwarders = 0;
  std::size_t imports = 0;
  for (std::string folder; std::getline(list, folder, ':');) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const fs::path& path = entry.path();
      auto memory = is_selected(path) && path.extension() != ".complete"
                        ? MappedPe::load(path, base_for(path))
                        : std::nullopt;
      if (!memory) continue;
      std::string why;
      const auto ours = read_ours(*memory, why);
      ASSERT_TRUE(ours) << path << ' ' << why;
      EXPECT_EQ(compare(*ours, read_with_llvm(path).value_or(ReferencePe{})), "") << path;
      EXPECT_EQ(compare(as_lief_has_it(*ours), read_pe_with_lief(path).value_or(ReferencePe{})), "")
          << path;
      ++files;
      exports += ours->exports.size();
      imports += ours->imports.size();
      forwarders += static_cast<std::size_t>(std::ranges::count_if(
          ours->exports, [](const Export& row) { return !row.forwarder.empty(); }));
    }
  }
  std::printf("%zu files, %zu exports, %zu of them forwarders, %zu import slots\n", files, exports,
              forwarders, imports);
  EXPECT_GT(exports, 10'000u);
  EXPECT_GT(forwarders, 100u);
}

}  // namespace
}  // namespace swat::symbols
