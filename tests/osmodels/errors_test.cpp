#include "osmodels/linux/errors.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace swat::os::linux_os {
namespace {

// glibc's own names of the machine that the tests are built on; EAGAIN and EWOULDBLOCK are one.
TEST(Errors, AreNamedAsTheCLibraryNamesThem) {
  unsigned named = 0;
  for (int error = 1; error <= 4095; ++error) {
    const char* const name = strerrorname_np(error);
    if (name == nullptr) continue;
    EXPECT_EQ(error_name(-error), name) << error;
    ++named;
  }
  EXPECT_GT(named, 100u);
}

TEST(Errors, HaveNoNameWhereTheResultIsNone) {
  for (const std::int64_t result : {std::int64_t{0}, std::int64_t{2}, std::int64_t{-4096},
                                    std::int64_t{-200}, INT64_MIN, INT64_MAX}) {
    EXPECT_EQ(error_name(result), "") << result;
  }
}

// As strace prints them. [strace, src/syscall.c]
TEST(Errors, NameWhatOnlyATracerSees) {
  EXPECT_EQ(error_name(-512), "ERESTARTSYS");
  EXPECT_EQ(error_name(-513), "ERESTARTNOINTR");
  EXPECT_EQ(error_name(-514), "ERESTARTNOHAND");
  EXPECT_EQ(error_name(-516), "ERESTART_RESTARTBLOCK");
}

TEST(Errors, TellARestartFromAnError) {
  for (const int restart : {-512, -513, -514, -516}) EXPECT_TRUE(is_restart(restart)) << restart;
  for (const int other : {0, 512, -4, -511, -515, -517}) EXPECT_FALSE(is_restart(other)) << other;
}

}  // namespace
}  // namespace swat::os::linux_os
