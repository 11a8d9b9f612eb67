// QEMU's run state in an image that is laid out as QEMU's is, with the machine code of real builds.
// The real processes are in tests/e2e/test_lifecycle.py.
#include "daemon/qemu_run_state.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "daemon/process_memory.hpp"
#include "tests/symbols/tiny_elf.hpp"

namespace swat::daemon {
namespace {

using symbols::TinyElf;
using Code = std::vector<std::uint8_t>;

constexpr std::uint64_t kVariable = TinyElf::kSlots + 0x100;
constexpr std::uint64_t kNames = TinyElf::kSlots + 0x200;
constexpr std::uint64_t kArray = TinyElf::kSlots + 0x400;
constexpr std::uint32_t kStates = 16;
constexpr std::uint64_t kNameBytes = 16;
constexpr std::uint32_t kPrelaunch = 6;
constexpr std::uint32_t kRunning = 9;

// `before`, the distance to the variable, one byte of immediate, `after`.
Code to_variable(Code before, std::uint8_t value, const Code& after) {
  const std::uint64_t next = TinyElf::kCode + before.size() + 5;
  const auto disp = static_cast<std::uint32_t>(kVariable - next);
  for (unsigned shift = 0; shift < 32; shift += 8) {
    before.push_back(static_cast<std::uint8_t>(disp >> shift));
  }
  before.push_back(value);
  before.insert(before.end(), after.begin(), after.end());
  return before;
}

// runstate_is_running as `objdump -d` shows it in Debian's qemu-system-x86_64.
const Code kDebian72 = to_variable({0x83, 0x3d}, kRunning, {0x0f, 0x94, 0xc0, 0xc3});
const Code kDebian111 =
    to_variable({0xf3, 0x0f, 0x1e, 0xfa, 0x83, 0x3d}, kRunning, {0x0f, 0x94, 0xc0, 0xc3});

// [QEMU's qapi/run-state.json, RunState; the same from 2.x to 11.1]
constexpr std::array<const char*, kStates> kStateNames = {
    "debug",     "inmigrate",      "internal-error", "io-error", "paused",  "postmigrate",
    "prelaunch", "finish-migrate", "restore-vm",     "running",  "save-vm", "shutdown",
    "suspended", "watchdog",       "guest-panicked", "colo"};

// TinyElf's `call` and `datum`, named as QEMU's function and table are.
struct Qemu {
  explicit Qemu(const Code& code = kDebian111, std::uint64_t lookup_bytes = 24) {
    constexpr std::string_view kText("\0runstate_is_running\0RunState_lookup\0", 37);
    for (std::size_t i = 0; i < TinyElf::kStringBytes; ++i) {
      elf.put(TinyElf::kStrings + i, i < kText.size() ? kText[i] : '\0');
    }
    rename(1, 0, 0);
    rename(2, 1, 16);
    rename(3, 21, lookup_bytes);
    rename(4, 0, 16);
    put(code);
    for (std::uint32_t i = 0; i < kStates; ++i) {
      const std::uint64_t name = kNames + i * kNameBytes;
      for (std::size_t c = 0; c <= std::strlen(kStateNames[i]); ++c) {
        elf.put(name + c, kStateNames[i][c]);
      }
      elf.put(kArray + std::uint64_t{8} * i, (TinyElf::kBase + name).value);
    }
    elf.put(TinyElf::kSlots, (TinyElf::kBase + kArray).value);
    elf.put(TinyElf::kSlots + lookup_bytes - 8, kStates);
    elf.put(kVariable, kPrelaunch);
  }

  void rename(std::size_t symbol, std::uint32_t name, std::uint64_t size_bytes) {
    const std::uint64_t at = TinyElf::kSymbols + symbol * sizeof(Elf64_Sym);
    auto value = elf.get<Elf64_Sym>(at);
    value.st_name = name;
    value.st_size = size_bytes;
    elf.put(at, value);
  }
  void put(const Code& code) {
    for (std::size_t i = 0; i < code.size(); ++i) elf.put(TinyElf::kCode + i, code[i]);
  }
  [[nodiscard]] Result<QemuRunState> find() { return QemuRunState::in(elf, TinyElf::kBase); }

  TinyElf elf;
};

TEST(QemuRunState, IsReadByTheCodeOfRealBuilds) {
  for (const Code& code : {kDebian72, kDebian111}) {
    Qemu qemu(code);
    const auto state = qemu.find();
    ASSERT_TRUE(state) << state.error().what;
    EXPECT_EQ(state->read(qemu.elf), "prelaunch");
    qemu.elf.put(kVariable, kRunning);
    EXPECT_EQ(state->read(qemu.elf), "running");
  }
}

// {array, size}, as the table was before it had special features.
TEST(QemuRunState, IsReadByAnOlderTable) {
  Qemu qemu(kDebian72, 16);
  const auto state = qemu.find();
  ASSERT_TRUE(state) << state.error().what;
  EXPECT_EQ(state->read(qemu.elf), "prelaunch");
}

TEST(QemuRunState, HasNoNameBeyondTheTable) {
  Qemu qemu;
  const auto state = qemu.find();
  ASSERT_TRUE(state) << state.error().what;
  qemu.elf.put(kVariable, kStates);
  EXPECT_FALSE(state->read(qemu.elf));
}

TEST(QemuRunState, IsNotReadByCodeThatDoesAnythingElse) {
  const Code answer = {0x0f, 0x94, 0xc0, 0xc3};
  const Code codes[] = {
      to_variable({0x83, 0x3d}, 4, answer),                              // compares with "paused"
      to_variable({0x83, 0x3d}, 99, answer),                             // with no state
      to_variable({0x83, 0x3d}, kRunning, {0x0f, 0x95, 0xc0, 0xc3}),     // setne
      to_variable({0x83, 0x3d}, kRunning, {0x0f, 0x94, 0xc0, 0x90}),     // no ret
      to_variable({0x80, 0x3d}, kRunning, answer),                       // a byte
      to_variable({0x48, 0x83, 0x3d}, kRunning, answer),                 // eight bytes
      to_variable({0xc7, 0x05}, kRunning, {0, 0, 0, 0x0f, 0x94, 0xc0}),  // movl
      {0x83, 0xff, kRunning, 0x0f, 0x94, 0xc0, 0xc3},                    // cmp $9,%edi
      {0x83, 0x7f, 0x10, kRunning, 0x0f, 0x94, 0xc0, 0xc3},              // cmpl $9,0x10(%rdi)
      {0x83, 0x3d, 0, 0, 0, 0x40, kRunning, 0x0f, 0x94, 0xc0, 0xc3},     // far outside
      Code(32, 0x90),                                                    // nop without end
      Code(32, 0x06),                                                    // no instruction
      {0xe9, 0, 0, 0, 0},                                                // jmp
  };
  for (const Code& code : codes) {
    EXPECT_FALSE(Qemu(code).find()) << testing::PrintToString(code);
  }
}

TEST(QemuRunState, IsNotReadByATableThatIsNone) {
  Qemu no_states;
  no_states.elf.put(TinyElf::kSlots + 16, std::uint32_t{0});
  EXPECT_FALSE(no_states.find());
  Qemu many;
  many.elf.put(TinyElf::kSlots + 16, ~std::uint32_t{0});
  EXPECT_FALSE(many.find());
  Qemu nowhere;
  nowhere.elf.put(TinyElf::kSlots, std::uint64_t{8});
  EXPECT_FALSE(nowhere.find());
  Qemu endless;
  for (std::uint64_t i = 0; i < kStates * kNameBytes; ++i) endless.elf.put(kNames + i, 'x');
  EXPECT_FALSE(endless.find());
  EXPECT_FALSE(Qemu(kDebian111, 32).find());
}

TEST(QemuRunState, IsNotInAnotherProgram) {
  TinyElf library;
  EXPECT_EQ(QemuRunState::in(library, TinyElf::kBase).error().code, Errc::kNotFound);
  Qemu arm;
  auto header = arm.elf.get<Elf64_Ehdr>(0);
  header.e_machine = EM_AARCH64;
  arm.elf.put(0, header);
  EXPECT_EQ(arm.find().error().code, Errc::kUnsupported);
}

// --- ProcessMemory, by this process's own

TEST(ProcessMemory, ReadsWhatIsThere) {
  const std::uint64_t value = 0x1122334455667788;
  ProcessMemory own(getpid());
  EXPECT_EQ(read_as<std::uint64_t>(own, Va{reinterpret_cast<std::uintptr_t>(&value)}), value);
  EXPECT_EQ(read_as<std::uint64_t>(own, Va{16}).error().code, Errc::kFault);
}

TEST(ProcessMemory, IsGoneWithItsProcess) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  siginfo_t info{};
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED);
  ProcessMemory gone(child);
  EXPECT_EQ(read_as<std::uint64_t>(gone, Va{0x1000}).error().code, Errc::kDisconnected);
  EXPECT_FALSE(mapped_files(child));
}

TEST(MappedFiles, HasThisProgramAndItsLibrariesWhereTheirHeadersAre) {
  const auto files = mapped_files(getpid());
  ASSERT_TRUE(files) << files.error().what;
  ProcessMemory own(getpid());
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  bool found = false;
  for (const MappedFile& file : *files) {
    if (file.path != program && file.path.find("/libc.so.6") == std::string::npos) continue;
    EXPECT_EQ(read_as<std::uint32_t>(own, file.start), 0x464c457fu) << file.path;
    found = found || file.path == program;
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace swat::daemon
