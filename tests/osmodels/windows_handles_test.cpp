// From handles to objects and what they are called, on a few words of memory.
#include <gtest/gtest.h>

#include "memory_fakes.hpp"
#include "osmodels/windows/handle_table.hpp"
#include "osmodels/windows/kernel_objects.hpp"

namespace swat::os::windows {
namespace {

constexpr std::uint64_t kProcess = 0xffff'e000'0000'1000;
constexpr std::uint64_t kTable = 0xffff'e000'0001'0000;
constexpr std::uint64_t kEntries = 0xffff'e000'0002'0000;
constexpr std::uint64_t kMore = 0xffff'e000'0003'0000;
constexpr std::uint64_t kHeader = 0xffff'e000'0004'0100;
constexpr std::uint32_t kTableAt = 0x418;

// What an entry of 8.1 and later has of a header.
constexpr std::uint64_t packed(std::uint64_t header) { return header << 16 | 0x1'0001; }

class WindowsHandles : public testing::Test {
 protected:
  WindowsHandles() {
    memory.store(kProcess + kTableAt, kTable);
    memory.store(kTable + 0x10, kProcess);
    memory.store(kTable + 0x28, 500);
    memory.store(kTable + 8, kEntries);
    memory.store(kEntries + 16 * 0x11, packed(kHeader));
    entry.process.object = Va{kProcess};
    entry.process.pid = 500;
  }
  [[nodiscard]] Result<Va> header_of(std::uint64_t handle) {
    return HandleTable(space, shape, kTableAt).header_of(Va{kProcess}, handle);
  }

  test::WordMemory memory;
  WindowsOffsets offsets{};
  KernelSpace space{memory, *find_geometry("x86_64-4level"), offsets, 8, {}};
  const HandleTableShape& shape = *find_handle_table_shape(19045, 8);
  ProcessEntry entry;
};

TEST_F(WindowsHandles, AreLookedUpInOneLevel) {
  ASSERT_TRUE(header_of(0x44));
  EXPECT_EQ(*header_of(0x44), Va{kHeader});
  EXPECT_EQ(*header_of(0x47), Va{kHeader});  // the two low bits are its owner's
  EXPECT_EQ(header_of(0x48).error().code, Errc::kNotFound);
  EXPECT_EQ(header_of(0).error().code, Errc::kNotFound);
  EXPECT_EQ(header_of(0x44 + 4 * 256).error().code, Errc::kNotFound);  // beyond the page
  EXPECT_EQ(header_of(~std::uint64_t{0}).error().code, Errc::kNotFound);
}

TEST_F(WindowsHandles, AreLookedUpInTwoAndThreeLevels) {
  memory.store(kTable + 8, kMore | 1);
  memory.store(kMore + 8, kEntries);  // handles from 4 * 256 on
  EXPECT_EQ(header_of(0x44 + 4 * 256), Va{kHeader});
  EXPECT_EQ(header_of(0x44).error().code, Errc::kNotFound);
  memory.store(kTable + 8, kMore + 0x1000 + 2);
  memory.store(kMore + 0x1000 + 8, kMore);  // from 4 * 256 * 512 on
  EXPECT_EQ(header_of(4 * 256 * 512 + 4 * 256 + 0x44), Va{kHeader});
}

TEST_F(WindowsHandles, OfATableThatLiesAreNone) {
  memory.store(kTable + 8, kMore | 3);  // four levels
  EXPECT_EQ(header_of(0x44).error().code, Errc::kNotFound);
  memory.store(kTable + 8, 0x1000);  // in user memory
  EXPECT_EQ(header_of(0x44).error().code, Errc::kNotFound);
  memory.store(kTable + 8, 0xffff'f000'0000'0000);  // not there
  EXPECT_EQ(header_of(0x44).error().code, Errc::kFault);
  memory.store(kProcess + kTableAt, 0);
  EXPECT_EQ(header_of(0x44).error().code, Errc::kNotFound);
}

TEST_F(WindowsHandles, FindTheTableOfAnyBuild) {
  const ProcessEntry processes[] = {entry};
  EXPECT_EQ(HandleTable::find_table(space, shape, processes), kTableAt);
  memory.store(kTable + 0x28, 504);  // another process's
  EXPECT_EQ(HandleTable::find_table(space, shape, processes).error().code, Errc::kNotFound);
}

TEST_F(WindowsHandles, DoNotGuessBetweenTwoTables) {
  memory.store(kProcess + 0x100, kTable);
  const ProcessEntry processes[] = {entry};
  EXPECT_EQ(HandleTable::find_table(space, shape, processes).error().code, Errc::kNotFound);
}

// The forms of an entry, of the same header.
TEST(WindowsHandleEntries, HaveTheHeaderInOneOfThreeForms) {
  constexpr std::uint64_t kHigh = 0xffff'fa80'0004'0100;  // 8.0 has addresses of 44 bits
  struct Form {
    std::uint32_t build;
    std::uint64_t entry;
  };
  constexpr Form kForms[] = {{7601, kHigh | 1}, {9200, kHigh << 19 | 1}, {9600, packed(kHigh)}};
  for (const Form& form : kForms) {
    test::WordMemory memory;
    const HandleTableShape& shape = *find_handle_table_shape(form.build, 8);
    memory.store(kProcess + kTableAt, kTable);
    memory.store(kTable + shape.code, kEntries);
    memory.store(kEntries + 16 * 0x11, form.entry);
    const KernelSpace space{memory, *find_geometry("x86_64-4level"), {}, 8, {}};
    EXPECT_EQ(HandleTable(space, shape, kTableAt).header_of(Va{kProcess}, 0x44), Va{kHigh})
        << form.build;
  }
  EXPECT_EQ(find_handle_table_shape(2195, 4), nullptr);
}

// --- What objects are

constexpr std::uint64_t kType = 0xffff'e000'0005'0000;
constexpr std::uint64_t kTypePointer = 0xffff'f802'0000'1000;
constexpr std::uint64_t kText = 0xffff'e000'0006'0000;
constexpr std::uint8_t kCookie = 0x5a;
constexpr std::uint8_t kEvent = 16;

class WindowsObjects : public testing::Test {
 protected:
  // An event in a directory, and the System process, by whose type the cookie is found.
  WindowsObjects() {
    put_type(kType, kEvent, kText, "Event");
    put_type(kType + 0x100, 7, kText + 0x40, "Process");
    memory.store(kTypePointer, kType);
    memory.store(kTypePointer + 8, kType + 0x100);
    put_header(kProcess - 0x30, 7, 0);
    put_header(kHeader, kEvent, 2);
    put_name(kHeader - 0x20, kText + 0x80, "x");
  }
  void put_text(std::uint64_t at, std::string_view text) {
    for (std::size_t i = 0; i < text.size(); i += 4) {
      std::uint64_t word = 0;
      for (std::size_t j = std::min(text.size(), i + 4); j-- > i;) {
        word = word << 16 | static_cast<unsigned char>(text[j]);
      }
      memory.store(at + 2 * i, word);
    }
  }
  void put_string(std::uint64_t at, std::uint64_t text_at, std::string_view text) {
    memory.store(at, 2 * text.size() * 0x1'0001);
    memory.store(at + 8, text_at);
    put_text(text_at, text);
  }
  void put_type(std::uint64_t at, std::uint8_t number, std::uint64_t text_at,
                std::string_view name) {
    put_string(at + 0x10, text_at, name);
    memory.store(at + 0x28, number);
  }
  void put_header(std::uint64_t at, std::uint8_t type, std::uint8_t mask) {
    const auto disguised = static_cast<std::uint8_t>(type ^ kCookie ^ (at >> 8 & 0xff));
    memory.store(at + 0x18, std::uint64_t{disguised} | std::uint64_t{mask} << 16);
  }
  void put_name(std::uint64_t info, std::uint64_t text_at, std::string_view name,
                std::uint64_t directory = 0) {
    memory.store(info, directory);
    put_string(info + 8, text_at, name);
  }
  [[nodiscard]] KernelObjects objects() {
    const auto find = [](std::string_view name) -> std::optional<Va> {
      if (name == "ExEventObjectType") return Va{kTypePointer};
      if (name == "PsProcessType") return Va{kTypePointer + 8};
      return {};
    };
    return {space, *find_object_shape(19045, 8), find, Va{kProcess},
            [](Va device) { return std::string(device.value == kType ? "C:" : ""); }};
  }

  test::WordMemory memory;
  KernelSpace space{memory, *find_geometry("x86_64-4level"), {}, 8, {}};
};

TEST_F(WindowsObjects, HaveTypeAndName) {
  const auto what = objects().describe(Va{kHeader});
  ASSERT_TRUE(what) << what.error().what;
  EXPECT_EQ(what->type, "Event");
  EXPECT_EQ(what->name, "x");
}

TEST_F(WindowsObjects, AreInDirectories) {
  constexpr std::uint64_t kDirectory = 0xffff'e000'0007'0100;
  constexpr std::uint64_t kRoot = 0xffff'e000'0008'0100;
  put_name(kHeader - 0x20, kText + 0x80, "x", kDirectory + 0x30);
  put_header(kDirectory, 3, 2);
  put_name(kDirectory - 0x20, kText + 0xc0, "Base", kRoot + 0x30);
  put_header(kRoot, 3, 2);
  put_name(kRoot - 0x20, kText + 0x100, "\\");
  EXPECT_EQ(objects().describe(Va{kHeader})->name, "\\Base\\x");
  put_name(kDirectory - 0x20, kText + 0xc0, "Base", kDirectory + 0x30);  // in itself
  const auto what = objects().describe(Va{kHeader});
  ASSERT_TRUE(what);
  EXPECT_LT(what->name.size(), 100u);
}

// Each call that has a handle of it would be that long in the log.
TEST_F(WindowsObjects, HaveNoNamesOfAnyLength) {
  put_name(kHeader - 0x20, kText + 0x80, std::string(KernelObjects::kMostBytes, 'x'));
  ASSERT_TRUE(objects().describe(Va{kHeader}));
  put_name(kHeader - 0x20, kText + 0x80, std::string(KernelObjects::kMostBytes + 1, 'x'));
  EXPECT_EQ(objects().describe(Va{kHeader}).error().code, Errc::kBadImage);
}

TEST_F(WindowsObjects, MayHaveACreatorBetweenHeaderAndName) {
  put_header(kHeader, kEvent, 3);
  put_name(kHeader - 0x40, kText + 0x80, "y");
  EXPECT_EQ(objects().describe(Va{kHeader})->name, "y");
}

TEST_F(WindowsObjects, MayHaveNoName) {
  put_header(kHeader, kEvent, 0);
  const auto what = objects().describe(Va{kHeader});
  EXPECT_EQ(what->type, "Event");
  EXPECT_EQ(what->name, "");
}

TEST_F(WindowsObjects, OfATypeThatIsNotKnownSayNothing) {
  put_header(kHeader, 99, 0);
  EXPECT_EQ(objects().describe(Va{kHeader})->type, "");
}

TEST_F(WindowsObjects, FilesAreOnVolumes) {
  put_type(kType, kEvent, kText, "File");  // by the pointer that is there
  put_string(kHeader + 0x30 + 0x58, kText + 0x140, "\\boot.ini");
  EXPECT_EQ(objects().describe(Va{kHeader})->name, "\\boot.ini");
  memory.store(kHeader + 0x30 + 8, kType);  // FILE_OBJECT.DeviceObject
  EXPECT_EQ(objects().describe(Va{kHeader})->name, "C:\\boot.ini");
}

}  // namespace
}  // namespace swat::os::windows
