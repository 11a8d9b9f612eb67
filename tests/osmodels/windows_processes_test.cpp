// The ring of processes and the list of loaded images, also where they lie.
#include <gtest/gtest.h>

#include <algorithm>

#include "memory_fakes.hpp"
#include "osmodels/windows/loader_list.hpp"
#include "osmodels/windows/processes.hpp"

namespace swat::os::windows {
namespace {

constexpr VaRange kImage{Va{0xffff'f802'0000'0000}, Va{0xffff'f802'0100'0000}};
constexpr std::uint64_t kHead = kImage.start.value + 0x1000;
constexpr std::uint64_t kSystem = 0xffff'e000'0000'1000;
constexpr std::uint64_t kOther = 0xffff'e000'0000'3000;
constexpr std::uint64_t kKpcr = 0xffff'f803'0000'0000;
constexpr std::uint64_t kThread = 0xffff'e000'0000'5000;

// EPROCESSes as small as the readers allow.
constexpr WindowsOffsets kOffsets{.pcr_current_thread = 0x188,
                                  .thread_process = 0xb8,
                                  .thread_client_id = 0x478,
                                  .process_pid = 0x40,
                                  .process_links = 0x48,
                                  .process_parent_pid = 0x58,
                                  .process_name = 0x60,
                                  .process_peb = 0x70,
                                  .process_wow64 = 0x78,
                                  .process_vad_root = {}};

class Windows : public testing::Test {
 protected:
  Windows() {
    put_process(kSystem, 4, 0, "\0\0metsyS", kOther + 0x48);
    put_process(kOther, 332, 4, "\0\0\0exe.a", kHead);
    memory_.store(kHead, kSystem + 0x48);
  }

  // Names are stored as words are: the last character first.
  void put_process(std::uint64_t at, std::uint64_t pid, std::uint64_t parent,
                   const char (&backwards)[9], std::uint64_t next_link) {
    std::uint64_t name = 0;
    for (const char c : std::string_view(backwards, 8)) name = name << 8 | std::uint64_t(c);
    memory_.store(at + 0x28, 0x1ad000 + pid * 0x1000);
    memory_.store(at + 0x40, pid);
    memory_.store(at + 0x48, next_link);
    memory_.store(at + 0x58, parent);
    memory_.store(at + 0x60, name);
  }
  [[nodiscard]] KernelSpace space() {
    return {memory_, *find_geometry("x86_64-4level"), kOffsets, 8, kImage};
  }

  test::WordMemory memory_;
};

TEST_F(Windows, ReadsTheRingFromSystemOn) {
  memory_.store(kOther + 0x70, 0x7ff'0000);
  const auto ring = read_ring(space(), Va{kSystem});
  ASSERT_TRUE(ring) << ring.error().what;
  ASSERT_EQ(ring->size(), 2u);
  EXPECT_EQ(ring->at(0).process.name, "System");
  EXPECT_EQ(ring->at(0).process.pid, 4u);
  EXPECT_TRUE(ring->at(0).peb.is_null());
  const ProcessEntry& other = ring->at(1);
  EXPECT_EQ(other.process.name, "a.exe");
  EXPECT_EQ(other.process.pid, 332u);
  EXPECT_EQ(other.process.parent_pid, 4u);
  EXPECT_EQ(other.process.object, Va{kOther});
  EXPECT_EQ(other.process.page_table, Pa{0x1ad000 + 332 * 0x1000});
  EXPECT_EQ(other.peb, Va{0x7ff'0000});
  EXPECT_FALSE(other.process.is_32_bit);
}

TEST_F(Windows, KnowsA32BitProcessOfA64BitKernel) {
  memory_.store(kOther + 0x78, 0xffff'e000'0000'7000);
  EXPECT_TRUE(read_process(space(), Va{kOther})->process.is_32_bit);
}

TEST_F(Windows, LeavesARingWithoutAnEnd) {
  memory_.store(kHead, kOther + 0x48);  // never back to System
  EXPECT_EQ(read_ring(space(), Va{kSystem}).error().code, Errc::kBadImage);
  memory_.store(kHead, 0x1234);  // to user memory
  EXPECT_EQ(read_ring(space(), Va{kSystem}).error().code, Errc::kBadImage);
  memory_.store(kHead, kImage.start.value + 0x10'0000);  // to nothing that is there
  EXPECT_EQ(read_ring(space(), Va{kSystem}).error().code, Errc::kFault);
}

// The head of the ring lies in the kernel's image, and a process does not.
TEST_F(Windows, HasNoRingThatBeginsWithItsHead) {
  EXPECT_EQ(read_ring(space(), Va{kHead - 0x48}).error().code, Errc::kBadImage);
}

TEST_F(Windows, TakesNoOtherObjectForAProcess) {
  memory_.store(kOther + 0x40, 0xffff'e000'0000'0000);  // a pid like a pointer
  EXPECT_EQ(read_ring(space(), Va{kSystem}).error().code, Errc::kBadImage);
  memory_.store(kOther + 0x40, 332);
  memory_.store(kOther + 0x28, 0);  // no page tables
  EXPECT_EQ(read_ring(space(), Va{kSystem}).error().code, Errc::kBadImage);
}

TEST_F(Windows, FindsWhoRuns) {
  memory_.store(kKpcr + 0x188, kThread);
  memory_.store(kThread + 0xb8, kOther);
  memory_.store(kThread + 0x478, 332);
  memory_.store(kThread + 0x480, 336);
  const auto thread = read_current(space(), Va{kKpcr});
  ASSERT_TRUE(thread) << thread.error().what;
  EXPECT_EQ(thread->object, Va{kThread});
  EXPECT_EQ(thread->tid, 336u);
  EXPECT_EQ(thread->process.pid, 332u);
}

// --- What a process has loaded

constexpr std::uint64_t kPeb = 0x10000;
constexpr std::uint64_t kLdr = 0x20000;
constexpr std::uint64_t kEntry = 0x30000;
constexpr std::uint64_t kText = 0x40000;

// "n\u00fc.dll" as UTF-16, in words.
void put_text(test::WordMemory& memory) {
  memory.store(kText, 0x0064'002e'00fc'006e);
  memory.store(kText + 8, 0x0000'0000'006c'006c);
}

test::WordMemory one_image() {
  test::WordMemory memory;
  memory.store(kPeb + 0x18, kLdr);
  memory.store(kLdr + 0x10, kEntry);
  memory.store(kEntry, kLdr + 0x10);
  memory.store(kEntry + 0x30, 0x7ffb'1c60'0000);
  memory.store(kEntry + 0x38, 0x7ffb'1c60'1000);
  memory.store(kEntry + 0x40, 0x1f'8000);
  memory.store(kEntry + 0x48, 0x000e'000c);  // lengths
  memory.store(kEntry + 0x50, kText);
  put_text(memory);
  return memory;
}

TEST(WindowsLoaderList, TellsWhatIsLoaded) {
  test::WordMemory memory = one_image();
  const auto images = read_loader_list(memory, Va{kPeb}, 8);
  ASSERT_TRUE(images) << images.error().what;
  ASSERT_EQ(images->size(), 1u);
  EXPECT_EQ(images->front().base, Va{0x7ffb'1c60'0000});
  EXPECT_EQ(images->front().entry, Va{0x7ffb'1c60'1000});
  EXPECT_EQ(images->front().size_bytes, 0x1f'8000u);
  EXPECT_EQ(images->front().path, "n\xc3\xbc.dll");
}

TEST(WindowsLoaderList, IsEmptyBeforeTheLoaderBegins) {
  test::WordMemory memory = one_image();
  EXPECT_EQ(read_loader_list(memory, Va{}, 8)->size(), 0u);
  memory.store(kPeb + 0x18, 0);
  EXPECT_EQ(read_loader_list(memory, Va{kPeb}, 8)->size(), 0u);
}

TEST(WindowsLoaderList, LeavesOutWhatIsNotMapped) {
  test::WordMemory memory = one_image();
  memory.store(kEntry + 0x30, 0);
  EXPECT_EQ(read_loader_list(memory, Va{kPeb}, 8)->size(), 0u);
}

TEST(WindowsLoaderList, LeavesOutWhatIsInNoProcessesAddresses) {
  test::WordMemory memory = one_image();
  memory.store(kEntry + 0x30, 0x7fff'ffff'0000);  // goes on behind their end
  EXPECT_EQ(read_loader_list(memory, Va{kPeb}, 8)->size(), 0u);
  memory.store(kEntry + 0x30, 0xffff'ffff'fff0'0000);  // to the start of all addresses
  EXPECT_EQ(read_loader_list(memory, Va{kPeb}, 8)->size(), 0u);
}

// A list of as many entries as anybody asks for, all of which have the same path: any piece of 64
// KiB of which is one.
class LongPaths final : public VirtualMemory {
 public:
  static constexpr std::uint64_t kFirst = 0x1'0000'0000;  // entry, of so many
  static constexpr std::uint64_t kEach = 0x100;

  Result<> read(Va at, std::span<std::byte> into) override {
    std::ranges::fill(into, std::byte{'a'});
    if (into.size() > 8) return {};
    const std::uint64_t word = word_at(at.value);
    std::memcpy(into.data(), &word, into.size());
    return {};
  }

 private:
  static std::uint64_t word_at(std::uint64_t at) {
    if (at == kPeb + 0x18) return kLdr;
    if (at == kLdr + 0x10) return kFirst;
    switch (at % kEach) {
      case 0:
        return at + kEach;
      case 0x30:
        return 0x40'0000;
      case 0x40:
        return 0x1000;
      case 0x48:
        return 0xfffe;  // bytes of the path
      default:
        return 0;
    }
  }
};

TEST(WindowsLoaderList, LeavesAListOfTooLongPaths) {
  LongPaths memory;
  const auto images = read_loader_list(memory, Va{kPeb}, 8);
  ASSERT_FALSE(images);
  EXPECT_EQ(images.error().code, Errc::kBadImage);
  // An entry has 32767 characters of three bytes each: so many entries fit into what there may be.
  constexpr std::uint64_t kFit = kMostPathBytes / (0x7fff * 3);
  EXPECT_EQ(images.error().guest, LongPaths::kFirst + kFit * LongPaths::kEach);
}

TEST(WindowsLoaderList, LeavesAListWithoutAnEnd) {
  test::WordMemory memory = one_image();
  memory.store(kEntry, kEntry);
  EXPECT_EQ(read_loader_list(memory, Va{kPeb}, 8).error().code, Errc::kBadImage);
  memory.store(kEntry, 0x5000'0000);
  EXPECT_EQ(read_loader_list(memory, Va{kPeb}, 8).error().code, Errc::kFault);
}

TEST(WindowsLoaderList, IsFoundOfA32BitProcess) {
  constexpr std::uint64_t kObject = 0xffff'e000'0000'7000;
  test::WordMemory kernel;
  kernel.store(kObject, 0x7efd'e000);
  EXPECT_EQ(find_peb32(kernel, Va{0x7efd'e000}), Va{0x7efd'e000});
  EXPECT_EQ(find_peb32(kernel, Va{kObject}), Va{0x7efd'e000});
  kernel.store(kObject, kObject);
  EXPECT_EQ(find_peb32(kernel, Va{kObject}).error().code, Errc::kBadImage);
}

// A pair of surrogates, one alone, and a character of three bytes.
TEST(WindowsLoaderList, ReadsAnyUtf16) {
  test::WordMemory memory;
  memory.store(0x1000, 8);
  memory.store(0x1008, kText);
  memory.store(kText, 0x20ac'dc00'de00'd83d);  // U+1F600, a low one alone, U+20AC
  EXPECT_EQ(read_unicode_string(memory, Va{0x1000}, 8), "\xf0\x9f\x98\x80\xef\xbf\xbd\xe2\x82\xac");
}

}  // namespace
}  // namespace swat::os::windows
