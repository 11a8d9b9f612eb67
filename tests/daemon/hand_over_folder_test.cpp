#include "daemon/hand_over_folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

namespace swat::daemon {
namespace {

mode_t mode_of(const std::string& path) {
  struct stat about {};
  EXPECT_EQ(stat(path.c_str(), &about), 0) << path;
  return about.st_mode;
}

TEST(HandOverFolder, IsOnlyANameUntilItIsMade) {
  HandOverFolder folder;
  EXPECT_FALSE(std::filesystem::exists(folder.path()));
  ASSERT_TRUE(folder.make());
  EXPECT_TRUE(std::filesystem::is_directory(folder.path()));
  EXPECT_TRUE(folder.make());
}

TEST(HandOverFolder, MayBeEnteredAndNotListedByOthers) {
  HandOverFolder folder;
  ASSERT_TRUE(folder.make());
  EXPECT_EQ(mode_of(folder.path()) & 0777U, 0711U);
  const auto file = folder.make_file("a");
  const auto fifo = folder.make_fifo("b");
  ASSERT_TRUE(file && fifo);
  EXPECT_EQ(mode_of(*file), S_IFREG | 0622U);
  EXPECT_EQ(mode_of(*fifo), S_IFIFO | 0622U);
}

TEST(HandOverFolder, GoesWithAllThatIsInIt) {
  std::string path;
  {
    HandOverFolder folder;
    path = folder.path();
    ASSERT_TRUE(folder.make());
    ASSERT_TRUE(folder.make_file("a"));
    EXPECT_FALSE(folder.make_file("a"));  // there is one
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(HandOverFolder, HasANameOfItsOwn) {
  EXPECT_NE(HandOverFolder().path(), HandOverFolder().path());
}

}  // namespace
}  // namespace swat::daemon
