// ElfImage and readelf agree on every architecture, hash table and class (samples/build.cmake).
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "elf_agreement.hpp"
#include "elf_reference.hpp"
#include "mapped_file.hpp"
#include "symbols/elf_image.hpp"

namespace swat::symbols {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBases[] = {0xb7d0'1000, 0x1000, 0};

// Of "-high.so": below it, addresses are sums that wrap, as with the vDSO of old i386 kernels.
constexpr std::uint64_t kHighLinkBase = 0xfff0'0000;

std::uint64_t bias_for(const fs::path& sample, std::uint64_t base) {
  return base - (sample.filename().string().ends_with("-high.so") ? kHighLinkBase : 0);
}

class ElfCross : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    for (const char* variant : {"-gnu.so", "-sysv.so", "-both.so", "-high.so", "-static"}) {
      const fs::path file = fs::path(SWAT_ELF_SAMPLES) / (std::string(GetParam()) + variant);
      if (!fs::exists(file)) GTEST_SKIP() << "no clang with lld on this machine built " << file;
      samples_.push_back(file);
    }
  }

  std::vector<fs::path> samples_;
};

TEST_P(ElfCross, ReadsAsReadelfReadsIt) {
  for (const fs::path& sample : samples_) {
    const auto reference = read_with_readelf(sample);
    if (!reference) GTEST_SKIP() << "no readelf on this machine";
    for (const std::uint64_t base : kBases) {
      for (const auto pointers :
           {MappedFile::Pointers::kAsLinked, MappedFile::Pointers::kRelocated}) {
        auto memory = MappedFile::load(sample, bias_for(sample, base), pointers);
        ASSERT_TRUE(memory) << sample;
        EXPECT_EQ(compare_with_readelf(*memory, *reference).difference, "")
            << sample << ' ' << std::hex << base;
      }
    }
  }
}

TEST_P(ElfCross, ExportsAndImportsWhatTheSourceSays) {
  for (const fs::path& sample : samples_) {
    auto memory =
        MappedFile::load(sample, bias_for(sample, kBases[0]), MappedFile::Pointers::kRelocated);
    ASSERT_TRUE(memory);
    const auto image = ElfImage::open(*memory, memory->base());
    ASSERT_TRUE(image);
    const auto exports = image->exports(*memory);
    const auto slots = image->import_slots(*memory);
    ASSERT_TRUE(exports && slots);
    if (!image->has_dynamic()) {
      EXPECT_TRUE(exports->empty() && slots->empty());
      continue;
    }
    const auto exported = [&](const char* name, const char* version) {
      return std::ranges::any_of(
          *exports, [&](const ElfExport& e) { return e.name == name && e.version == version; });
    };
    const auto imported = [&](const char* name) {
      return std::ranges::find(*slots, name, &ImportSlot::name) != slots->end();
    };
    EXPECT_TRUE(exported("exported", "V1") && exported("weakly_exported", "V1"));
    EXPECT_TRUE(exported("versioned", "V1") && exported("versioned", "V2"));
    EXPECT_TRUE(exported("chosen", "V1") && exported("untyped_label", "V1"));
    EXPECT_FALSE(exported("object", "V1") || exported("untyped_datum", "V1"));
    EXPECT_FALSE(exported("thread_local_object", "V1"));
    EXPECT_TRUE(imported("provided") && imported("untyped_function"));
    EXPECT_TRUE(imported("untyped_weak_hook"));
    EXPECT_FALSE(imported("provided_object") || imported("untyped_object"));
  }
}

TEST_P(ElfCross, LosingAnyPageIsAFaultThereOrNoDifference) {
  for (const fs::path& sample : samples_) {
    auto memory =
        MappedFile::load(sample, bias_for(sample, kBases[0]), MappedFile::Pointers::kRelocated);
    ASSERT_TRUE(memory);
    const auto whole = ElfImage::open(*memory, memory->base());
    ASSERT_TRUE(whole);
    const auto exports = whole->exports(*memory);
    ASSERT_TRUE(exports);
    for (const Va page : memory->pages()) {
      memory->lose_page(page);
      const auto some = whole->exports(*memory);
      if (some) {
        EXPECT_TRUE(*some == *exports);
      } else {
        EXPECT_EQ(some.error().code, Errc::kFault);
        EXPECT_EQ(Va{some.error().guest.value_or(0)}.aligned_down(4096), page);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, ElfCross,
                         testing::Values("x86_64", "x32", "i386", "arm", "thumb", "aarch64"),
                         [](const auto& row) { return std::string(row.param); });

}  // namespace
}  // namespace swat::symbols
