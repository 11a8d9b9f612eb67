// A process's tree of address ranges, also where it lies.
#include <gtest/gtest.h>

#include <cstring>

#include "memory_fakes.hpp"
#include "osmodels/windows/loader_list.hpp"
#include "osmodels/windows/process_images.hpp"
#include "osmodels/windows/vad_tree.hpp"

namespace swat::os::windows {
namespace {

constexpr std::uint64_t kProcess = 0xffff'e000'0000'1000;
constexpr std::uint64_t kVadRoot = 0x200;
constexpr std::uint64_t kDevice = 0xffff'e000'00d0'0000;
constexpr std::uint64_t kTop = 0xffff'e000'0001'0100;
constexpr std::uint64_t kLeft = 0xffff'e000'0002'0100;
constexpr std::uint64_t kRight = 0xffff'e000'0003'0100;
constexpr std::uint64_t kImage = 0x7ff6'a0e1'0000;
constexpr std::uint64_t kOtherImage = 0x7ffb'1c60'0000;

// "Vad " and "VadS", as a word that begins with it.
constexpr std::uint64_t kVad = 0x2064'6156;
constexpr std::uint64_t kVadShort = 0x5364'6156;

// As 10.0.19041 of x64 has them: public symbols of that build.
class VadTree : public testing::Test {
 protected:
  VadTree() {
    memory_.store(kProcess + kVadRoot, kTop);
    put(kTop, kVad, kImage, 4);
    put_file(kTop, 0xa0, "\\app.exe");
  }

  void put(std::uint64_t vad, std::uint64_t tag, std::uint64_t start, std::uint64_t pages) {
    const std::uint64_t first = start >> 12;
    const std::uint64_t last = first + pages - 1;
    memory_.store(vad - 0x10, tag << 32);
    memory_.store(vad + 0x18, (first & 0xffff'ffff) | (last & 0xffff'ffff) << 32);
    memory_.store(vad + 0x20, first >> 32 | last >> 32 << 8);
  }
  void link(std::uint64_t vad, std::uint64_t left, std::uint64_t right) {
    memory_.store(vad, left);
    memory_.store(vad + 8, right);
  }
  // Behind the VAD, within its page: subsection, control area, file object, name.
  void put_file(std::uint64_t vad, std::uint64_t flags, std::string_view name) {
    const std::uint64_t area = vad + 0x200;
    const std::uint64_t file = vad + 0x300;
    memory_.store(vad + 0x48, vad + 0x100);
    memory_.store(vad + 0x100, area);
    memory_.store(area + 0x38, flags);
    memory_.store(area + 0x40, file | 0xf);
    memory_.store(file + 8, kDevice);
    memory_.store(file + 0x58, name.size() * 2);
    memory_.store(file + 0x60, vad + 0x400);
    for (std::size_t i = 0; i < name.size(); i += 4) {
      std::uint64_t word = 0;
      for (std::size_t j = 0; j < 4 && i + j < name.size(); ++j) {
        word |= std::uint64_t{static_cast<unsigned char>(name[i + j])} << (16 * j);
      }
      memory_.store(vad + 0x400 + i * 2, word);
    }
  }

  [[nodiscard]] KernelSpace space() {
    WindowsOffsets offsets;
    offsets.process_vad_root = kVadRoot;
    return {memory_, *find_geometry("x86_64-4level"), offsets, 8, {}};
  }
  [[nodiscard]] Result<std::vector<MappedImage>> read() {
    const KernelSpace kernel = space();
    return read_mapped_images(kernel, *find_vad_shape(19041, 8), Va{kProcess});
  }

  test::WordMemory memory_;
};

TEST_F(VadTree, FindsImagesInAscendingOrder) {
  link(kTop, kLeft, kRight);
  put(kLeft, kVad, kOtherImage, 2);
  put_file(kLeft, 0xa0, "\\Windows\\a.dll");
  put(kRight, kVadShort, 0x1000, 1);
  const auto images = read();
  ASSERT_TRUE(images) << images.error().what;
  ASSERT_EQ(images->size(), 2u);
  EXPECT_EQ(images->at(0).range, (VaRange{Va{kImage}, Va{kImage + 0x4000}}));
  EXPECT_EQ(images->at(0).path, "\\app.exe");
  EXPECT_EQ(images->at(1).range, (VaRange{Va{kOtherImage}, Va{kOtherImage + 0x2000}}));
  EXPECT_EQ(images->at(1).path, "\\Windows\\a.dll");
  EXPECT_EQ(images->at(1).device, Va{kDevice});
}

// MMSECTION_FLAGS: 80 is of a file, 20 of an image.
TEST_F(VadTree, LeavesOutWhatIsMappedAsData) {
  put_file(kTop, 0x80, "\\locale.nls");
  const auto images = read();
  ASSERT_TRUE(images);
  EXPECT_TRUE(images->empty());
}

TEST_F(VadTree, LeavesOutWhatIsInNoProcessesAddresses) {
  put(kTop, kVad, 0x7fff'ffff'f000, 2);  // goes on behind their end
  const auto images = read();
  ASSERT_TRUE(images);
  EXPECT_TRUE(images->empty());
}

// Each the left child of the one before, and of all one file, whose path has 32767 characters of
// three bytes each.
TEST_F(VadTree, LeavesTooManyLongPaths) {
  constexpr std::uint64_t kFirst = kTop + 0x2'0000;
  constexpr std::uint64_t kEach = 0x100;
  constexpr std::uint64_t kFit = kMostPathBytes / (0x7fff * 3);
  memory_.store(kProcess + kVadRoot, kFirst);
  memory_.store(kTop + 0x300 + 0x58, 0xfffe);
  for (std::uint64_t at = 0; at < 0x1'0000; at += 8) {
    memory_.store(kTop + 0x400 + at, 0x20ac'20ac'20ac'20ac);
  }
  for (std::uint64_t i = 0; i <= kFit; ++i) {
    const std::uint64_t vad = kFirst + i * kEach;
    put(vad, kVad, kImage + i * 0x1000, 1);
    link(vad, i == kFit ? 0 : vad + kEach, 0);
    memory_.store(vad + 0x48, kTop + 0x100);
  }
  EXPECT_EQ(read().error().code, Errc::kBadImage);
  link(kFirst + (kFit - 1) * kEach, 0, 0);  // one less
  const auto images = read();
  ASSERT_TRUE(images);
  EXPECT_EQ(images->size(), kFit);
}

TEST_F(VadTree, GoesOnBesideWhatIsPagedOut) {
  link(kTop, 0xffff'e000'0bad'0000, kRight);
  put(kRight, kVad, kOtherImage, 1);
  memory_.store(kRight + 0x48, 0xffff'e000'0bad'0000);
  const auto images = read();
  ASSERT_TRUE(images);
  EXPECT_EQ(images->size(), 1u);
}

TEST_F(VadTree, EndsWhereNodesLeadBack) {
  link(kTop, kTop, 0);
  EXPECT_EQ(read().error().code, Errc::kBadImage);
}

TEST_F(VadTree, FollowsNoPointerOutOfTheKernel) {
  link(kTop, 0x7fff'0000, kTop + 1);
  const auto images = read();
  ASSERT_TRUE(images);
  EXPECT_EQ(images->size(), 1u);
}

TEST(VadShape, IsThatOfTheNewestBuildBefore) {
  EXPECT_EQ(find_vad_shape(2600, 4)->left, 0x0c);
  EXPECT_EQ(find_vad_shape(22631, 8), find_vad_shape(9600, 8));
  EXPECT_EQ(find_vad_shape(9200, 8), nullptr);
  EXPECT_EQ(find_vad_shape(2195, 4), nullptr);
}

// --- With what the process's own loader says

TEST_F(VadTree, TakesDriveLettersFromLoaders) {
  const KernelSpace kernel = space();
  ProcessImages images(kernel, find_vad_shape(19041, 8));
  ASSERT_EQ(images.of(Va{kProcess}, {}).size(), 1u);
  EXPECT_EQ(images.of(Va{kProcess}, {}).at(0).path, "\\app.exe");
  const LoadedImage loaded{Va{kImage}, 0x4000, {}, "D:\\APP.EXE"};
  EXPECT_EQ(images.of(Va{kProcess}, std::span(&loaded, 1)).at(0).path, "D:\\app.exe");
  EXPECT_EQ(images.of(Va{kProcess}, {}).at(0).path, "D:\\app.exe");
}

// A guest may make up as many volumes as it likes.
TEST_F(VadTree, RemembersSoManyDrivesOnly) {
  constexpr std::uint64_t kMost = 256;
  const KernelSpace kernel = space();
  ProcessImages images(kernel, find_vad_shape(19041, 8));
  const LoadedImage loaded{Va{kImage}, 0x4000, {}, "D:\\app.exe"};
  for (std::uint64_t i = 0; i <= kMost; ++i) {
    memory_.store(kTop + 0x300 + 8, kDevice + i * 0x1000);
    EXPECT_EQ(images.of(Va{kProcess}, std::span(&loaded, 1)).at(0).path,
              i < kMost ? "D:\\app.exe" : "\\app.exe");
  }
}

TEST_F(VadTree, TakesTheLoadersWordWhereTheTreeIsNotKnown) {
  const KernelSpace kernel = space();
  ProcessImages images(kernel, nullptr);
  const LoadedImage loaded{Va{kImage}, 0x3001, {}, "C:\\b.exe"};
  const auto mappings = images.of(Va{kProcess}, std::span(&loaded, 1));
  ASSERT_EQ(mappings.size(), 1u);
  EXPECT_EQ(mappings.at(0).range, (VaRange{Va{kImage}, Va{kImage + 0x4000}}));
  EXPECT_EQ(mappings.at(0).path, "C:\\b.exe");
}

// Kernels that are compatible only have nodes of their own for what is mapped of files.
TEST_F(VadTree, TakesTheLoadersWordWhereNoNodeIsKnown) {
  constexpr std::uint64_t kOtherTag = 0x4552'414d;  // "MARE"
  put(kTop, kOtherTag, kImage, 4);
  const KernelSpace kernel = space();
  ProcessImages images(kernel, find_vad_shape(19041, 8));
  EXPECT_TRUE(images.of(Va{kProcess}, {}).empty());
  const LoadedImage loaded{Va{kImage}, 0x4000, {}, "C:\\b.exe"};
  const auto mappings = images.of(Va{kProcess}, std::span(&loaded, 1));
  ASSERT_EQ(mappings.size(), 1u);
  EXPECT_EQ(mappings.at(0).path, "C:\\b.exe");
}

}  // namespace
}  // namespace swat::os::windows
