// A file is the one that is mapped, or it is not; and gives what memory lacks.
#include "symbols/elf_file.hpp"

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "file_bytes.hpp"
#include "mapped_file.hpp"

namespace swat::symbols {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBias = 0xb7d0'1000;
constexpr std::size_t kSmall = 64 << 10;  // one without a C library

struct Sample {
  fs::path path;
  MappedFile guest;
  ElfFile file;
};

std::vector<Sample> samples(std::string_view ending) {
  std::vector<Sample> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(SWAT_ELF_SAMPLES, none)) {
    if (!entry.path().string().ends_with(ending)) continue;
    auto guest = MappedFile::load(entry.path(), kBias, MappedFile::Pointers::kRelocated);
    if (!guest) continue;
    auto file = ElfFile::place(shared(bytes_of(entry.path())), guest->base());
    EXPECT_TRUE(file) << entry.path() << file.error().what;
    if (file) found.push_back({entry.path(), *std::move(guest), *std::move(file)});
  }
  return found;
}

// Where the guest's byte at `at` is in `bytes()`.
std::byte& byte_at(MappedFile& guest, Va at) { return guest.bytes()[at - guest.extent().start]; }

bool is_constant(const ElfFile& file, Va at) {
  return std::ranges::any_of(file.image().layout().loads, [&](const ElfLayout::Load& load) {
    return !load.writable && load.where.start <= at && at < load.where.start + load.file_bytes;
  });
}

class Nothing final : public VirtualMemory {
 public:
  Result<> read(Va at, std::span<std::byte>) override { return fail(Errc::kFault, "", at.value); }
};

TEST(ElfFile, IsProvenByWhatIsInMemory) {
  auto all = samples("-static");
  if (all.empty()) GTEST_SKIP() << "no clang with lld on this machine";
  for (auto more : {"-gnu.so", "-sysv.so", "-both.so"}) {
    for (Sample& sample : samples(more)) all.push_back(std::move(sample));
  }
  for (Sample& sample : all) {
    const auto same = sample.file.prove(sample.guest);
    EXPECT_TRUE(same) << sample.path << same.error().what;
  }
}

TEST(ElfFile, IsProvenWithoutItsHeaders) {
  for (Sample& sample : samples("x86_64-static")) {
    sample.guest.lose_page(sample.guest.base());
    EXPECT_TRUE(sample.file.prove(sample.guest)) << sample.path;
  }
}

TEST(ElfFile, IsAnotherOneWhereAnyConstantByteDiffers) {
  std::size_t changed = 0;
  for (Sample& sample : samples("-static")) {
    if (sample.file.bytes().size() > kSmall) continue;
    for (const Va page : sample.guest.pages()) {
      for (const std::uint64_t offset : {0x10ULL, 0x123ULL, 0x7ffULL}) {
        if (!is_constant(sample.file, page + offset)) continue;
        std::byte& byte = byte_at(sample.guest, page + offset);
        byte ^= std::byte{1};
        const auto same = sample.file.prove(sample.guest);
        ASSERT_FALSE(same) << sample.path << std::hex << page.value + offset;
        EXPECT_EQ(same.error().code, Errc::kNotFound);
        EXPECT_EQ(Va{*same.error().guest}.aligned_down(4096), page);
        byte ^= std::byte{1};
        ++changed;
      }
    }
  }
  if (changed == 0) GTEST_SKIP() << "no clang with lld on this machine";
}

TEST(ElfFile, IsTheSameWhenStripHasTakenItsSections) {
  for (Sample& sample : samples("x86_64-static")) {
    auto bytes = bytes_of(sample.path);
    auto header = at_start<Elf64_Ehdr>(bytes);
    bytes.resize(header.e_shoff);
    header.e_shoff = header.e_shnum = header.e_shstrndx = 0;
    put_at_start(bytes, header);
    const auto stripped = ElfFile::place(shared(bytes), sample.guest.base());
    ASSERT_TRUE(stripped) << stripped.error().what;
    EXPECT_TRUE(stripped->prove(sample.guest));
  }
}

TEST(ElfFile, CannotBeToldWhereNothingIsInMemory) {
  Nothing nothing;
  for (Sample& sample : samples("-static")) {
    EXPECT_EQ(sample.file.prove(nothing).error().code, Errc::kFault);
  }
}

TEST(ElfFile, IsNotMappedElsewhereThanItWasLinkedFor) {
  for (const Sample& sample : samples("x86_64-static")) {
    const auto file = ElfFile::place(shared(bytes_of(sample.path)), sample.guest.base() + 0x1000);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, Errc::kBadImage);
  }
}

TEST(ElfFile, EndsAnywhere) {
  for (const Sample& sample : samples("-static")) {
    const auto whole = bytes_of(sample.path);
    if (whole.size() > kSmall) continue;
    for (std::size_t size = 0; size < whole.size(); size += size < 1024 ? 7 : 509) {
      auto cut = whole;
      cut.resize(size);
      const auto file = ElfFile::place(shared(cut), sample.guest.base());
      if (!file) {
        EXPECT_EQ(file.error().code, Errc::kBadImage);
      }
    }
  }
}

// Whichever page of what no program writes to is absent: the file has it.
TEST(ElfFile, GivesWhatIsNotPagedIn) {
  std::size_t lost = 0;
  for (const char* kind : {"-gnu.so", "-sysv.so", "-both.so"}) {
    for (Sample& sample : samples(kind)) {
      const auto whole = ElfImage::open(sample.guest, sample.guest.base());
      ASSERT_TRUE(whole);
      const auto exports = whole->exports(sample.guest);
      const auto slots = whole->import_slots(sample.guest);
      ASSERT_TRUE(exports && slots);
      for (const Va page : sample.guest.pages()) {
        if (!is_constant(sample.file, page)) continue;
        sample.guest.lose_page(page);
        ElfFileBackedMemory both(sample.guest, sample.file);
        const auto image = ElfImage::open(both, sample.guest.base());
        ASSERT_TRUE(image) << sample.path << image.error().what;
        const auto exports_now = image->exports(both);
        const auto slots_now = image->import_slots(both);
        ASSERT_TRUE(exports_now && slots_now) << sample.path;
        EXPECT_TRUE(*exports_now == *exports) << sample.path;
        EXPECT_TRUE(*slots_now == *slots) << sample.path;
        ++lost;
      }
    }
  }
  if (lost == 0) GTEST_SKIP() << "no clang with lld on this machine";
}

TEST(ElfFile, GivesNothingThatAProgramMayHaveWrittenTo) {
  for (Sample& sample : samples("x86_64-gnu.so")) {
    for (const ElfLayout::Load& load : sample.file.image().layout().loads) {
      std::array<std::byte, 8> bytes{};
      const auto read = sample.file.read(load.where.start, bytes);
      EXPECT_EQ(read.has_value(), !load.writable) << std::hex << load.where.start.value;
    }
  }
}

}  // namespace
}  // namespace swat::symbols
