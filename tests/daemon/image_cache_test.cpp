// Images whose functions memory does not name, or not all of: files of this host tell, if they are
// the guest's.
#include "daemon/image_cache.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "../symbols/mapped_file.hpp"
#include "temp_folder.hpp"

namespace swat::daemon {
namespace {

namespace fs = std::filesystem;
using symbols::MappedFile;

constexpr std::uint64_t kBias = 0x7f00'0000'1000;

// A guest that has one file mapped, and a root file system with that file in it.
struct Mapped {
  Mapped(const char* sample, const std::string& guest_path)
      : source(fs::path(SWAT_ELF_SAMPLES) / sample) {
    if (!fs::exists(source)) return;
    memory = MappedFile::load(source, kBias, MappedFile::Pointers::kRelocated);
    module.base = memory->base();
    module.range = memory->extent();
    module.path = guest_path;
    module.file_id = 7;
    fs::create_directories(folder.file("bin"));
    fs::copy_file(source, folder.file(guest_path.substr(1)));
  }

  // One byte of the guest's code is not the file's.
  void change_code() {
    Va code = module.range.start;
    while (!memory->is_code(code)) code = code + 1;
    memory->bytes()[code - module.range.start] ^= std::byte{1};
  }

  std::shared_ptr<const RootFolder> files() { return *RootFolder::open(folder.file("")); }

  fs::path source;
  TempFolder folder;
  std::optional<MappedFile> memory;
  os::Module module;
};

const ImageExport* find(const Image& image, const std::string& name) {
  const auto found = std::ranges::find(image.exports, name, &ImageExport::name);
  return found == image.exports.end() ? nullptr : &*found;
}

TEST(ImageCache, NamesFunctionsOfAStaticProgramByItsFile) {
  Mapped m("x86_64-static", "/bin/tool");
  if (!m.memory) GTEST_SKIP() << "no clang with lld on this machine";
  ImageCache cache(m.files());
  const auto image = cache.get(*m.memory, m.module);
  ASSERT_TRUE(image) << image.error().what;
  ASSERT_NE(find(**image, "hidden"), nullptr);
  EXPECT_TRUE(m.memory->is_code(m.module.base + find(**image, "hidden")->offset));
  ASSERT_NE(find(**image, "chosen"), nullptr);
  EXPECT_TRUE(find(**image, "chosen")->is_ifunc);
}

void expect_no_names(Mapped& m, ImageCache cache) {
  const auto image = cache.get(*m.memory, m.module);
  ASSERT_TRUE(image) << image.error().what;
  EXPECT_TRUE((*image)->exports.empty());
}

TEST(ImageCache, NamesNothingThatNoFileOfTheGuestsNames) {
  Mapped m("x86_64-static", "/bin/tool");
  if (!m.memory) GTEST_SKIP() << "no clang with lld on this machine";
  expect_no_names(m, ImageCache());
  m.change_code();  // another file of that path
  expect_no_names(m, ImageCache(m.files()));
  m.module.path = "/bin/other";  // none
  expect_no_names(m, ImageCache(m.files()));
}

TEST(ImageCache, ReadsOfALibraryWhatIsNotPagedIn) {
  Mapped m("x86_64-gnu.so", "/bin/lib.so");
  if (!m.memory) GTEST_SKIP() << "no clang with lld on this machine";
  const auto whole = ImageCache().get(*m.memory, m.module);
  ASSERT_TRUE(whole) << whole.error().what;
  m.memory->lose_page(m.module.base);
  EXPECT_EQ(ImageCache().get(*m.memory, m.module).error().code, Errc::kFault);
  const auto image = ImageCache(m.files()).get(*m.memory, m.module);
  ASSERT_TRUE(image) << image.error().what;
  ASSERT_EQ((*image)->exports.size(), (*whole)->exports.size());
  for (std::size_t i = 0; i < (*whole)->exports.size(); ++i) {
    EXPECT_EQ((*image)->exports[i].name, (*whole)->exports[i].name);
    EXPECT_EQ((*image)->exports[i].offset, (*whole)->exports[i].offset);
  }
  EXPECT_EQ((*image)->slots.size(), (*whole)->slots.size());
}

TEST(ImageCache, TakesNothingOfALibraryFromAnotherFile) {
  Mapped m("x86_64-gnu.so", "/bin/lib.so");
  if (!m.memory) GTEST_SKIP() << "no clang with lld on this machine";
  m.memory->lose_page(m.module.base);
  m.change_code();
  ImageCache cache(m.files());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(cache.get(*m.memory, m.module).error().code, Errc::kFault);
  }
}

}  // namespace
}  // namespace swat::daemon
