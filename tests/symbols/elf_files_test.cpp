// Every library and program of this machine, laid out as in memory: ElfImage, readelf and LIEF
// agree.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <set>
#include <sstream>

#include "elf_agreement.hpp"
#include "elf_reference.hpp"
#include "mapped_file.hpp"
#include "symbols/elf_image.hpp"

namespace swat::symbols {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBias = 0x7f12'3456'7000;
constexpr std::uint64_t kBias32 = 0xb7d0'1000;

#ifdef __SANITIZE_ADDRESS__
constexpr std::uintmax_t kMaxFileBytes = 512 << 10;  // else it takes minutes
#else
constexpr std::uintmax_t kMaxFileBytes = 1 << 30;
#endif

bool is_elf(const fs::path& path) {
  return MappedFile::load(path, kBias, MappedFile::Pointers::kAsLinked).has_value();
}

// Once each, whatever links lead there.
std::vector<fs::path> files_in(const std::vector<fs::path>& folders) {
  std::set<fs::path> out;
  std::error_code ignored;
  for (const fs::path& folder : folders) {
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      const fs::path real = fs::canonical(entry.path(), ignored);
      if (!ignored && fs::is_regular_file(real, ignored)) out.insert(real);
    }
  }
  return {out.begin(), out.end()};
}

std::vector<fs::path> libraries() {
  std::vector<fs::path> all = files_in(
      {"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64"});
  std::erase_if(all, [](const fs::path& p) {
    return p.filename().string().find(".so") == std::string::npos;
  });
  return all;
}

std::vector<fs::path> programs() { return files_in({"/usr/bin", "/usr/sbin"}); }

std::optional<MappedFile> load(const fs::path& path, MappedFile::Pointers pointers) {
  auto file = MappedFile::load(path, kBias, pointers);
  if (file && !file->is_64_bit()) return MappedFile::load(path, kBias32, pointers);
  return file;
}

struct Totals {
  std::size_t files = 0;
  std::size_t exports = 0;
  std::size_t slots = 0;
};

Totals compare_all(const std::vector<fs::path>& paths) {
  Totals totals;
  for (const fs::path& path : paths) {
    if (fs::file_size(path) > kMaxFileBytes) continue;
    auto memory = load(path, MappedFile::Pointers::kRelocated);
    if (!memory) continue;
    const auto reference = read_with_readelf(path);
    if (!reference) continue;
    const Agreement agreement = compare_with_readelf(*memory, *reference);
    EXPECT_EQ(agreement.difference, "") << path;
    ++totals.files;
    totals.exports += agreement.exports;
    totals.slots += agreement.slots;
  }
  return totals;
}

void report(const char* what, const Totals& totals) {
  std::printf("%s: %zu files, %zu exports, %zu import slots\n", what, totals.files, totals.exports,
              totals.slots);
}

TEST(ElfFiles, EveryLibraryReadsAsReadelfReadsIt) {
  if (!read_with_readelf("/proc/self/exe")) GTEST_SKIP() << "no readelf on this machine";
  const Totals totals = compare_all(libraries());
  report("libraries", totals);
  EXPECT_GT(totals.exports, 1000u);
  EXPECT_GT(totals.slots, 100u);
}

TEST(ElfFiles, EveryProgramReadsAsReadelfReadsIt) {
  if (!read_with_readelf("/proc/self/exe")) GTEST_SKIP() << "no readelf on this machine";
  const Totals totals = compare_all(programs());
  report("programs", totals);
  EXPECT_GT(totals.slots, 1000u);
}

// Root file systems of other machines, when there are any: SWAT_ELF_FOLDERS=a/lib:a/usr/lib
TEST(ElfFiles, EveryFileOfFoldersNamedByTheUserReadsAsReadelfReadsIt) {
  const char* named = std::getenv("SWAT_ELF_FOLDERS");
  if (named == nullptr) GTEST_SKIP() << "SWAT_ELF_FOLDERS names no folders";
  std::istringstream list(named);
  std::vector<fs::path> folders;
  for (std::string folder; std::getline(list, folder, ':');) folders.emplace_back(folder);
  const Totals totals = compare_all(files_in(folders));
  report("named by the user", totals);
  EXPECT_GT(totals.files, 0u);
}

// LIEF takes seconds on the largest files, and minutes on a few.
TEST(ElfFiles, EveryLibraryExportsWhatLiefSaysItExports) {
  constexpr std::uintmax_t kMaxForLief = 4 << 20;
  Totals totals;
  for (const fs::path& path : libraries()) {
    if (fs::file_size(path) > std::min(kMaxForLief, kMaxFileBytes)) continue;
    auto memory = load(path, MappedFile::Pointers::kAsLinked);
    if (!memory) continue;
    auto theirs = exports_with_lief(path);
    if (!theirs) continue;
    const auto image = ElfImage::open(*memory, memory->base());
    ASSERT_TRUE(image) << path << image.error().what;
    const auto exports = image->exports(*memory);
    ASSERT_TRUE(exports) << path << exports.error().what;
    std::vector<LiefExport> ours;
    for (const ElfExport& e : *exports) ours.push_back({e.name, e.address.value - memory->bias()});
    std::ranges::sort(ours);
    std::ranges::sort(*theirs);
    // Ours have untyped code in addition, which LIEF does not tell from untyped data.
    std::vector<LiefExport> missing;
    std::ranges::set_difference(*theirs, ours, std::back_inserter(missing));
    EXPECT_TRUE(missing.empty()) << path << ' ' << missing.front().name;
    ++totals.files;
    totals.exports += theirs->size();
  }
  report("LIEF", totals);
  EXPECT_GT(totals.exports, 1000u);
}

TEST(ElfFiles, PointersAsLinkedAndRelocatedReadTheSame) {
  for (const fs::path& path : libraries()) {
    if (fs::file_size(path) > (1 << 20)) continue;
    auto linked = load(path, MappedFile::Pointers::kAsLinked);
    auto relocated = load(path, MappedFile::Pointers::kRelocated);
    if (!linked || !relocated) continue;
    const auto a = ElfImage::open(*linked, linked->base());
    const auto b = ElfImage::open(*relocated, relocated->base());
    ASSERT_TRUE(a && b) << path;
    const auto slots_a = a->import_slots(*linked);
    const auto slots_b = b->import_slots(*relocated);
    ASSERT_TRUE(slots_a && slots_b) << path;
    EXPECT_TRUE(*slots_a == *slots_b) << path;
  }
}

// prelink: the bias is smaller than the image, so both readings of a pointer lie inside it.
TEST(ElfFiles, ASmallBiasDoesNotConfusePointers) {
  const fs::path libc = "/lib/x86_64-linux-gnu/libc.so.6";
  if (!is_elf(libc)) GTEST_SKIP() << "no " << libc;
  const auto reference = read_with_readelf(libc);
  if (!reference) GTEST_SKIP() << "no readelf on this machine";
  for (const auto pointers : {MappedFile::Pointers::kAsLinked, MappedFile::Pointers::kRelocated}) {
    for (const std::uint64_t bias : {0x1000U, 0x4000U, 0x10000U, 0x100000U}) {
      auto memory = MappedFile::load(libc, bias, pointers);
      ASSERT_TRUE(memory);
      EXPECT_EQ(compare_with_readelf(*memory, *reference).difference, "") << std::hex << bias;
    }
  }
}

TEST(ElfFiles, LibcTakesFewReadsAndLittleTime) {
  const fs::path libc = "/lib/x86_64-linux-gnu/libc.so.6";
  auto memory = MappedFile::load(libc, kBias, MappedFile::Pointers::kRelocated);
  if (!memory) GTEST_SKIP() << "no " << libc;
  const auto image = ElfImage::open(*memory, memory->base());
  ASSERT_TRUE(image);
  const std::size_t before = memory->reads();
  const auto start = std::chrono::steady_clock::now();
  const auto exports = image->exports(*memory);
  const auto middle = std::chrono::steady_clock::now();
  const std::size_t reads = memory->reads() - before;
  const auto slots = image->import_slots(*memory);
  const auto end = std::chrono::steady_clock::now();
  ASSERT_TRUE(exports && slots);
  EXPECT_LE(reads, 16u);
  const auto us = [](auto d) {
    return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
  };
  std::printf("libc: %zu exports in %ld us and %zu reads, %zu slots in %ld us\n", exports->size(),
              long(us(middle - start)), reads, slots->size(), long(us(end - middle)));
}

// How many faults there were: 0 or 1.
template <class T>
std::size_t expect_same_or_fault(const Result<T>& some, const T& whole, Va lost) {
  if (some) {
    EXPECT_TRUE(*some == whole) << std::hex << lost.value;
    return 0;
  }
  EXPECT_EQ(some.error().code, Errc::kFault) << some.error().what;
  EXPECT_EQ(Va{some.error().guest.value_or(0)}.aligned_down(4096), lost);
  return 1;
}

TEST(ElfFiles, LosingAnyPageOfLibcIsAFaultThereOrNoDifference) {
  const fs::path libc = "/lib/x86_64-linux-gnu/libc.so.6";
  auto memory = MappedFile::load(libc, kBias, MappedFile::Pointers::kRelocated);
  if (!memory) GTEST_SKIP() << "no " << libc;
  const auto whole = ElfImage::open(*memory, memory->base());
  ASSERT_TRUE(whole);
  const auto exports = whole->exports(*memory);
  const auto slots = whole->import_slots(*memory);
  ASSERT_TRUE(exports && slots);
  std::size_t faults = 0;
  for (const Va page : memory->pages()) {
    memory->lose_page(page);
    const auto image = ElfImage::open(*memory, memory->base());
    if (page == memory->base()) {
      ASSERT_FALSE(image);
      EXPECT_EQ(image.error().code, Errc::kFault);
      continue;
    }
    ASSERT_TRUE(image);
    faults += expect_same_or_fault(image->exports(*memory), *exports, page);
    faults += expect_same_or_fault(image->import_slots(*memory), *slots, page);
  }
  EXPECT_GT(faults, 10u);
}

}  // namespace
}  // namespace swat::symbols
