#include "daemon/setup_advice.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "temp_folder.hpp"

namespace swat::daemon {
namespace {

using QemuIs = VmSetup::QemuIs;

VmSetup complete() {
  VmSetup setup;
  setup.version = {7, 2};
  return setup;
}

// The only thing that `setup` lacks.
Advice only_advice(const VmSetup& setup) {
  const auto all = advice_on(setup);
  EXPECT_EQ(all.size(), 1u);
  return all.empty() ? Advice{} : all.front();
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(SetupAdvice, NothingIsSaidOfACompleteSetup) { EXPECT_TRUE(advice_on(complete()).empty()); }

TEST(SetupAdvice, AMonitorIsMissed) {
  VmSetup setup = complete();
  setup.has_monitor = false;
  EXPECT_TRUE(has(only_advice(setup).cure, "-qmp unix:PATH,server=on,wait=off"));
}

TEST(SetupAdvice, RamThatIsNotSharedIsToBe) {
  VmSetup setup = complete();
  setup.ram = "process";
  EXPECT_TRUE(has(only_advice(setup).cure, "memory-backend-memfd,id=ram,size=SIZE,share=on"));
}

TEST(SetupAdvice, AWayToRamThatTheUserChoseIsNotQuestioned) {
  VmSetup setup = complete();
  for (const QemuIs qemu : {QemuIs::kHere, QemuIs::kHidden, QemuIs::kElsewhere}) {
    setup.ram = "";
    setup.qemu = qemu;
    EXPECT_TRUE(advice_on(setup).empty());
  }
}

TEST(SetupAdvice, AnotherUsersQemuIsLookedAtAsThatUser) {
  VmSetup setup = complete();
  setup.ram = "stub";
  setup.qemu = QemuIs::kHidden;
  setup.owner = "libvirt-qemu";
  const Advice advice = only_advice(setup);
  EXPECT_TRUE(has(advice.lack, "libvirt-qemu's"));
  EXPECT_TRUE(has(advice.cure, "run swatd as libvirt-qemu"));
  EXPECT_TRUE(has(advice.cure, "CAP_SYS_PTRACE"));
}

TEST(SetupAdvice, YamasRuleIsNamedWhereItForbids) {
  VmSetup setup = complete();
  setup.ram = "stub";
  setup.ptrace_scope = 1;
  const Advice advice = only_advice(setup);
  EXPECT_TRUE(has(advice.lack, "ptrace_scope is 1"));
  EXPECT_TRUE(has(advice.cure, "CAP_SYS_PTRACE"));
}

// [Documentation/admin-guide/LSM/Yama.rst: 3, "no processes may use ptrace"]
TEST(SetupAdvice, NoRightHelpsWhereYamaForbidsAll) {
  VmSetup setup = complete();
  setup.ram = "stub";
  setup.ptrace_scope = 3;
  const Advice advice = only_advice(setup);
  EXPECT_FALSE(has(advice.cure, "CAP_SYS_PTRACE"));
  EXPECT_TRUE(has(advice.cure, "share=on"));
}

TEST(SetupAdvice, FromAnotherHostSwatdIsToMove) {
  VmSetup setup = complete();
  setup.ram = "stub";
  setup.qemu = QemuIs::kElsewhere;
  EXPECT_TRUE(has(only_advice(setup).cure, "where QEMU runs"));
}

TEST(SetupAdvice, AFolderThatQemuCannotWriteIsTmpdirs) {
  VmSetup setup = complete();
  setup.shares_a_folder = false;
  EXPECT_TRUE(has(only_advice(setup).cure, "TMPDIR"));
}

TEST(SetupAdvice, BreakpointsWantANewerQemuOrSilence) {
  VmSetup setup = complete();
  setup.flushes = true;
  EXPECT_TRUE(has(only_advice(setup).cure, "10.2 or later"));
  EXPECT_FALSE(has(only_advice(setup).cure, "--qmp"));
  setup.version = {10, 2};
  EXPECT_TRUE(advice_on(setup).empty());
  setup.version = {8, 1};
  setup.has_monitor = false;
  ASSERT_EQ(advice_on(setup).size(), 2u);
  EXPECT_TRUE(has(advice_on(setup).back().cure, "--qmp"));
}

TEST(SetupAdvice, UnderKvmThereIsNoTranslationToKeep) {
  VmSetup setup = complete();
  setup.is_kvm = true;
  setup.flushes = true;
  EXPECT_TRUE(has(only_advice(setup).cure, "-accel tcg"));
}

TEST(SetupAdvice, SwatdWantsACpuOfItsOwn) {
  VmSetup setup = complete();
  setup.vcpus = 2;
  EXPECT_TRUE(has(only_advice(setup).lack, "2 on this host's 2"));
}

gdbproto::Endpoint at(const std::string& path) { return {{}, {}, path}; }

// A socket that somebody listens on, until the end.
class Listener {
 public:
  explicit Listener(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(fd_, 1), 0);
  }
  ~Listener() { close(fd_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  int fd_;
};

TEST(SetupAdvice, ASocketThatIsNotThereIsToBeMade) {
  const TempFolder folder;
  const auto advice = advice_on_connecting(at(folder.file("gdb")), "-gdb");
  ASSERT_TRUE(advice);
  EXPECT_TRUE(has(advice->cure, "-gdb unix:" + folder.file("gdb") + ",server=on,wait=off"));
}

TEST(SetupAdvice, NothingStandsInTheWayToAListener) {
  const TempFolder folder;
  const Listener listener(folder.file("qmp"));
  EXPECT_FALSE(advice_on_connecting(at(folder.file("qmp")), "-qmp"));
  EXPECT_EQ(where_qemu_is(at(folder.file("qmp"))), QemuIs::kHere);
}

TEST(SetupAdvice, ASocketThatIsLeftOverIsToldFromOneThatIsServed) {
  const TempFolder folder;
  { const Listener gone(folder.file("qmp")); }
  const auto advice = advice_on_connecting(at(folder.file("qmp")), "-qmp");
  ASSERT_TRUE(advice);
  EXPECT_TRUE(has(advice->lack, "listens"));
  EXPECT_EQ(where_qemu_is(at(folder.file("qmp"))), QemuIs::kElsewhere);
}

TEST(SetupAdvice, AFileIsNoSocket) {
  const TempFolder folder;
  std::ofstream(folder.file("gdb")) << "no socket";
  const auto advice = advice_on_connecting(at(folder.file("gdb")), "-gdb");
  ASSERT_TRUE(advice);
  EXPECT_TRUE(has(advice->lack, "is none"));
}

TEST(SetupAdvice, AnotherHostsPortIsOpenedThere) {
  const auto advice = advice_on_connecting({"lab7", "1234", {}}, "-gdb");
  ASSERT_TRUE(advice);
  EXPECT_TRUE(has(advice->lack, "lab7:1234"));
  EXPECT_TRUE(has(advice->cure, "-gdb tcp::1234"));
}

}  // namespace
}  // namespace swat::daemon
