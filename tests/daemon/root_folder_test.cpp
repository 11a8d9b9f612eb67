// A hostile root file system leads nowhere but into itself.
#include "daemon/root_folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "temp_folder.hpp"

namespace swat::daemon {
namespace {

namespace fs = std::filesystem;

class RootFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_.file("root/bin"));
    write("secret", "outside");
    write("root/secret", "inside");
    write("root/bin/tool", "tool");
    auto root = RootFolder::open(folder_.file("root"));
    ASSERT_TRUE(root) << root.error().what;
    root_ = *std::move(root);
  }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.file(name)) << text;
  }
  void link(const std::string& to, const std::string& name) {
    fs::create_symlink(to, folder_.file(name));
  }
  // What the file says; "!" and the error's number in Errc.
  std::string read(const std::string& path) {
    const auto bytes = root_->read(path);
    if (!bytes) return "!" + std::to_string(static_cast<int>(bytes.error().code));
    return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
  }
  static std::string error(Errc code) { return "!" + std::to_string(static_cast<int>(code)); }

  TempFolder folder_;
  std::shared_ptr<const RootFolder> root_;
};

TEST_F(RootFolderTest, ReadsWhatIsInIt) {
  EXPECT_EQ(read("/bin/tool"), "tool");
  EXPECT_EQ(read("bin/tool"), "tool");
  EXPECT_EQ(read("/bin/other"), error(Errc::kNotFound));
}

TEST_F(RootFolderTest, DotsDoNotLeadOut) {
  EXPECT_EQ(read("/../secret"), "inside");
  EXPECT_EQ(read("/bin/../../../secret"), "inside");
}

TEST_F(RootFolderTest, LinksLeadWhereTheyWouldInTheGuest) {
  link("/secret", "root/absolute");
  link("../../secret", "root/bin/upwards");
  link("/bin", "root/usr");
  link(folder_.file("secret"), "root/out");
  EXPECT_EQ(read("/absolute"), "inside");
  EXPECT_EQ(read("/bin/upwards"), "inside");
  EXPECT_EQ(read("/usr/tool"), "tool");
  EXPECT_EQ(read("/out"), error(Errc::kNotFound));
}

TEST_F(RootFolderTest, EndlessLinksEnd) {
  link("/b", "root/a");
  link("/a", "root/b");
  EXPECT_EQ(read("/a"), error(Errc::kNotFound));
}

TEST_F(RootFolderTest, RefusesWhatIsNoRegularFile) {
  ASSERT_EQ(mkfifo(folder_.file("root/fifo").c_str(), 0600), 0);
  EXPECT_EQ(read("/fifo"), error(Errc::kUnsupported));  // and does not wait for a writer
  EXPECT_EQ(read("/bin"), error(Errc::kUnsupported));
}

TEST_F(RootFolderTest, RefusesDevices) {
  const auto null = makedev(1, 3);
  if (mknod(folder_.file("root/null").c_str(), S_IFCHR | 0600, null) != 0) {
    GTEST_SKIP() << "only root makes devices";
  }
  EXPECT_EQ(read("/null"), error(Errc::kUnsupported));
}

TEST_F(RootFolderTest, RefusesWhatIsTooLarge) {
  write("root/large", "");
  fs::resize_file(folder_.file("root/large"), RootFolder::kMaxFileBytes + 1);
  EXPECT_EQ(read("/large"), error(Errc::kUnsupported));
}

TEST(RootFolder, ThatIsNotThereIsAMistakeOfTheUsers) {
  const auto root = RootFolder::open("/nonexistent/swatd");
  ASSERT_FALSE(root);
  EXPECT_EQ(root.error().code, Errc::kUsage);
}

}  // namespace
}  // namespace swat::daemon
