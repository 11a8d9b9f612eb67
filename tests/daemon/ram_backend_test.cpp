// The test process plays QEMU: its own memory is the guest's RAM.
#include "daemon/ram_backend.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "memory_stub.hpp"
#include "sockets.hpp"
#include "temp_folder.hpp"

namespace swat::daemon {
namespace {

constexpr std::size_t kBytes = 64 << 10;
constexpr Pa kStart{0x100000};

// Guest RAM in one of the ways that QEMU makes it; every word of it is different.
class HostRam {
 public:
  explicit HostRam(int flags, int fd = -1, std::size_t offset = 0) {
    void* at = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset));
    EXPECT_NE(at, MAP_FAILED);
    bytes_ = {static_cast<std::byte*>(at), kBytes};
  }
  ~HostRam() { munmap(bytes_.data(), bytes_.size()); }
  HostRam(const HostRam&) = delete;
  HostRam& operator=(const HostRam&) = delete;

  void fill() {
    for (std::size_t at = 0; at < kBytes; at += 4) {
      const auto word = static_cast<std::uint32_t>(at * 2654435761U + 1);
      std::memcpy(bytes_.data() + at, &word, sizeof(word));
    }
  }
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  [[nodiscard]] RamBlock block() const {
    return {{kStart, kStart + kBytes}, "pc.ram", reinterpret_cast<std::uint64_t>(bytes_.data())};
  }

 private:
  std::span<std::byte> bytes_;
};

struct PrivateRam : HostRam {
  PrivateRam() : HostRam(MAP_PRIVATE | MAP_ANONYMOUS) { fill(); }
};

Fd sized(int fd, std::size_t size_bytes) {
  EXPECT_EQ(ftruncate(fd, static_cast<off_t>(size_bytes)), 0);
  return Fd(fd);
}

// What `stub` reads is `truth`.
struct Machine {
  explicit Machine(const HostRam& truth) : stub(kStart, truth.bytes()), session(stub) {
    EXPECT_TRUE(session.handshake());
  }
  [[nodiscard]] RamSources sources(const RamBlock& block) { return {{block}, getpid(), &session}; }

  MemoryStub stub;
  gdbproto::Session session;
};

void expect_reads(RamBackend& ram, const HostRam& truth) {
  std::vector<std::byte> bytes(kBytes);
  ASSERT_TRUE(ram.read(kStart, bytes));
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), truth.bytes().begin()));
}

void expect_faults_outside(RamBackend& ram) {
  std::array<std::byte, 8> into{};
  for (const Pa at : {Pa{0}, kStart - 1, kStart + kBytes, kStart + kBytes - 7, Pa{~0ULL}}) {
    const auto read = ram.read(at, into);
    ASSERT_FALSE(read) << at.value;
    EXPECT_EQ(read.error().code, Errc::kFault) << at.value;
  }
  EXPECT_TRUE(ram.read(kStart + kBytes - 8, into));
}

// --- Each back end

TEST(ProcessRam, ReadsPrivateMemoryOfAProcess) {
  const PrivateRam truth;
  Machine machine(truth);
  const auto ram = open_process_ram(machine.sources(truth.block()));
  ASSERT_TRUE(ram) << ram.error().what;
  expect_reads(**ram, truth);
}

TEST(ProcessRam, ReadsMemoryOfAnotherProcess) {
  const PrivateRam truth;
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  std::vector<std::byte> ours(truth.bytes().begin(), truth.bytes().end());
  std::fill(truth.bytes().begin(), truth.bytes().end(), std::byte{0});  // the child keeps its own
  Machine machine(truth);
  RamSources sources = machine.sources(truth.block());
  sources.qemu = child;
  const auto ram = open_process_ram(sources);
  ASSERT_TRUE(ram);
  std::vector<std::byte> bytes(kBytes);
  EXPECT_TRUE((*ram)->read(kStart, bytes));
  EXPECT_EQ(bytes, ours);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ((*ram)->read(kStart, bytes).error().code, Errc::kDisconnected);
}

TEST(ProcessRam, FaultsOutsideRam) {
  const PrivateRam truth;
  Machine machine(truth);
  expect_faults_outside(**open_process_ram(machine.sources(truth.block())));
}

TEST(ProcessRam, ReadsMorePiecesThanOneSystemCallTakes) {
  const PrivateRam truth;
  Machine machine(truth);
  const auto ram = open_process_ram(machine.sources(truth.block()));
  ASSERT_TRUE(ram);
  std::vector<std::uint32_t> words(3000);
  std::vector<PhysicalMemory::Piece> pieces;
  for (std::size_t i = 0; i < words.size(); ++i) {
    pieces.push_back(
        {kStart + 4 * (words.size() - i), std::as_writable_bytes(std::span(&words[i], 1))});
  }
  ASSERT_TRUE((*ram)->read_batch(pieces));
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::uint32_t expected = 0;
    std::memcpy(&expected, truth.bytes().data() + 4 * (words.size() - i), sizeof(expected));
    ASSERT_EQ(words[i], expected) << i;
  }
}

TEST(FileRam, ReadsAFileThatIsShared) {
  const TempFolder folder;
  const Fd file = sized(open(folder.file("ram").c_str(), O_RDWR | O_CREAT, 0600), kBytes);
  HostRam truth(MAP_SHARED, file.get());
  truth.fill();
  Machine machine(truth);
  const auto ram = open_file_ram(machine.sources(truth.block()));
  ASSERT_TRUE(ram) << ram.error().what;
  expect_reads(**ram, truth);
}

TEST(FileRam, SeesWhatTheGuestWritesLater) {
  const Fd memfd = sized(memfd_create("ram", 0), kBytes);
  HostRam truth(MAP_SHARED, memfd.get());
  truth.fill();
  Machine machine(truth);
  const auto ram = open_file_ram(machine.sources(truth.block()));
  ASSERT_TRUE(ram) << ram.error().what;
  truth.bytes()[5] = std::byte{0x77};
  EXPECT_EQ(*read_as<std::uint8_t>(**ram, kStart + 5), 0x77);
}

TEST(FileRam, FindsABlockInTheMiddleOfItsFile) {
  const Fd memfd = sized(memfd_create("ram", 0), 3 * kBytes);
  HostRam truth(MAP_SHARED, memfd.get(), kBytes);
  truth.fill();
  RamBlock block = truth.block();
  block.range = {kStart, kStart + kBytes / 2};
  block.host_address += kBytes / 4;
  Machine machine(truth);
  const auto ram = open_file_ram(machine.sources(block));
  ASSERT_TRUE(ram) << ram.error().what;
  std::uint64_t expected = 0;
  std::memcpy(&expected, truth.bytes().data() + kBytes / 4 + 16, sizeof(expected));
  EXPECT_EQ(*read_as<std::uint64_t>(**ram, kStart + 16), expected);
}

TEST(FileRam, FaultsOutsideRam) {
  const Fd memfd = sized(memfd_create("ram", 0), kBytes);
  HostRam truth(MAP_SHARED, memfd.get());
  Machine machine(truth);
  expect_faults_outside(**open_file_ram(machine.sources(truth.block())));
}

TEST(FileRam, RefusesMemoryThatIsNoSharedFile) {
  const PrivateRam truth;
  Machine machine(truth);
  EXPECT_EQ(open_file_ram(machine.sources(truth.block())).error().code, Errc::kUnsupported);
}

TEST(FileRam, RefusesAPrivateMappingOfAFile) {
  const Fd memfd = sized(memfd_create("ram", 0), kBytes);
  const HostRam truth(MAP_PRIVATE, memfd.get());
  Machine machine(truth);
  EXPECT_EQ(open_file_ram(machine.sources(truth.block())).error().code, Errc::kUnsupported);
}

// Reading beyond its end would kill the reader (SIGBUS).
TEST(FileRam, RefusesAFileThatIsShorterThanItsMapping) {
  const Fd memfd = sized(memfd_create("ram", 0), kBytes / 2);
  const HostRam mapped(MAP_SHARED, memfd.get());
  const PrivateRam truth;
  Machine machine(truth);
  EXPECT_EQ(open_file_ram(machine.sources(mapped.block())).error().code, Errc::kUnsupported);
}

TEST(FileRam, RefusesAFileThatIsClosed) {
  Fd memfd = sized(memfd_create("ram", 0), kBytes);
  const HostRam truth(MAP_SHARED, memfd.get());
  memfd.reset();
  Machine machine(truth);
  EXPECT_EQ(open_file_ram(machine.sources(truth.block())).error().code, Errc::kUnsupported);
}

TEST(StubRam, ReadsPhysicalMemory) {
  const PrivateRam truth;
  Machine machine(truth);
  const auto ram = open_stub_ram(machine.sources(truth.block()));
  ASSERT_TRUE(ram);
  expect_reads(**ram, truth);
  expect_faults_outside(**ram);
}

TEST(StubRam, AsksNothingAboutWhatIsNoRam) {
  const PrivateRam truth;
  Machine machine(truth);
  const auto ram = open_stub_ram(machine.sources(truth.block()));
  std::array<std::byte, 8> into{};
  EXPECT_FALSE((*ram)->read(Pa{0xfee00000}, into));  // a device's registers
  EXPECT_EQ(machine.stub.reads, 0u);
}

// --- The choice

std::string chosen(const RamSources& sources, std::string_view only = "") {
  const auto choice = choose_ram(sources, only);
  return choice ? std::string(choice->ram->name()) : "none: " + choice.error().what;
}

TEST(ChooseRam, PrefersTheFile) {
  const Fd memfd = sized(memfd_create("ram", 0), kBytes);
  HostRam truth(MAP_SHARED, memfd.get());
  truth.fill();
  Machine machine(truth);
  EXPECT_EQ(chosen(machine.sources(truth.block())), "file");
}

TEST(ChooseRam, TakesTheProcessWhereThereIsNoFile) {
  const PrivateRam truth;
  Machine machine(truth);
  const auto choice = choose_ram(machine.sources(truth.block()), "");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->ram->name(), "process");
  EXPECT_NE(choice->why.find("file: "), std::string::npos) << choice->why;
}

TEST(ChooseRam, TakesTheStubWhereQemuIsNotHere) {
  const PrivateRam truth;
  Machine machine(truth);
  RamSources sources = machine.sources(truth.block());
  sources.qemu.reset();
  EXPECT_EQ(chosen(sources), "stub");
}

TEST(ChooseRam, TakesTheStubWhereNothingTellsWhereRamIs) {
  const PrivateRam truth;
  Machine machine(truth);
  RamBlock block = truth.block();
  block.host_address = 0;
  EXPECT_EQ(chosen(machine.sources(block)), "stub");
}

TEST(ChooseRam, RefusesTheMemoryOfAnotherVm) {
  const PrivateRam truth;
  const Fd memfd = sized(memfd_create("ram", 0), kBytes);
  const HostRam other(MAP_SHARED, memfd.get());
  Machine machine(truth);
  const auto choice = choose_ram(machine.sources(other.block()), "");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->ram->name(), "stub");
  EXPECT_NE(choice->why.find("process: "), std::string::npos) << choice->why;
}

TEST(ChooseRam, NoticesADifferenceInTheLastEighthOnly) {
  const PrivateRam truth;
  const PrivateRam other;
  other.bytes()[kBytes / 8 * 7] ^= std::byte{1};
  Machine machine(truth);
  EXPECT_EQ(chosen(machine.sources(other.block())), "stub");
}

TEST(ChooseRam, TakesTheOneThatIsAskedFor) {
  const Fd memfd = sized(memfd_create("ram", 0), kBytes);
  HostRam truth(MAP_SHARED, memfd.get());
  truth.fill();
  Machine machine(truth);
  for (const char* name : {"file", "process", "stub"}) {
    EXPECT_EQ(chosen(machine.sources(truth.block()), name), name);
  }
}

TEST(ChooseRam, FailsWhenTheOneThatIsAskedForDoesNotWork) {
  const PrivateRam truth;
  Machine machine(truth);
  const auto choice = choose_ram(machine.sources(truth.block()), "file");
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code, Errc::kUnsupported);
}

TEST(ChooseRam, EndsWhenTheStubIsGone) {
  const PrivateRam truth;
  Machine machine(truth);
  machine.stub.gone = true;
  const auto choice = choose_ram(machine.sources(truth.block()), "");
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code, Errc::kDisconnected);
}

}  // namespace
}  // namespace swat::daemon
