#include "daemon/profile_files.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "temp_folder.hpp"

namespace swat::daemon {
namespace {

TEST(ProfileFiles, GivesBackWhatWasSaved) {
  const TempFolder folder;
  ProfileFiles files(folder.file("new/swatd/profiles"));
  EXPECT_FALSE(files.load("key"));
  files.save("key", "one");
  files.save("key", "two");
  EXPECT_EQ(files.load("key"), "two");
  EXPECT_FALSE(files.load("other"));
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(folder.file("new/swatd/profiles"))) {
    ++count;
  }
  EXPECT_EQ(count, 1u) << "no temporary file stays";
}

TEST(ProfileFiles, TakesNoFileThatOthersMayWriteOrThatIsNone) {
  const TempFolder folder;
  ProfileFiles files(folder.file(""));
  files.save("key", "text");
  chmod(folder.file("key").c_str(), 0666);
  EXPECT_FALSE(files.load("key"));
  chmod(folder.file("key").c_str(), 0600);
  EXPECT_TRUE(files.load("key"));
  ASSERT_EQ(symlink(folder.file("key").c_str(), folder.file("link").c_str()), 0);
  EXPECT_FALSE(files.load("link"));
  ASSERT_EQ(mkfifo(folder.file("fifo").c_str(), 0600), 0);
  EXPECT_FALSE(files.load("fifo"));
  files.save("large", std::string(1 << 20, 'x'));
  EXPECT_FALSE(files.load("large"));
}

TEST(ProfileFiles, DoesWithoutAFolderThatCannotBeMade) {
  ProfileFiles files("/proc/no-such-folder");
  files.save("key", "text");
  EXPECT_FALSE(files.load("key"));
}

}  // namespace
}  // namespace swat::daemon
