#include "daemon/selection.hpp"

#include <gtest/gtest.h>

namespace swat::daemon {
namespace {

// --- System calls

SyscallFilter syscalls(std::string_view text) {
  const auto filter = SyscallFilter::parse(text);
  EXPECT_TRUE(filter) << text << ": " << filter.error().what;
  return filter.value_or(SyscallFilter{});
}

TEST(SyscallFilter, WantsEverythingUnlessTold) {
  EXPECT_TRUE(SyscallFilter{}.is_all());
  EXPECT_TRUE(SyscallFilter{}.wants("open"));
  EXPECT_TRUE(SyscallFilter{}.wants(""));
}

TEST(SyscallFilter, WantsThoseNamed) {
  const SyscallFilter filter = syscalls("open,execve");
  EXPECT_TRUE(filter.wants("open"));
  EXPECT_TRUE(filter.wants("execve"));
  EXPECT_FALSE(filter.wants("close"));
  EXPECT_FALSE(filter.wants("ope"));
  EXPECT_FALSE(filter.is_all() || filter.is_none());
}

TEST(SyscallFilter, TakesStracesKeywordOrNone) {
  EXPECT_TRUE(syscalls("trace=open").wants("open"));
  EXPECT_FALSE(syscalls("trace=!open").wants("open"));
}

TEST(SyscallFilter, WantsAllButThoseNamedAfterABang) {
  const SyscallFilter filter = syscalls("!open,close");
  EXPECT_FALSE(filter.wants("open"));
  EXPECT_FALSE(filter.wants("close"));
  EXPECT_TRUE(filter.wants("read"));
  EXPECT_FALSE(filter.is_all() || filter.is_none());
}

// Nobody can name it, so nobody can ask for it; it is not among those left out either.
TEST(SyscallFilter, WantsANumberWithoutANameWhenSomethingIsLeftOut) {
  EXPECT_FALSE(syscalls("open").wants(""));
  EXPECT_TRUE(syscalls("!open").wants(""));
}

TEST(SyscallFilter, KnowsAllAndNone) {
  EXPECT_TRUE(syscalls("all").is_all());
  EXPECT_TRUE(syscalls("!none").is_all());
  EXPECT_TRUE(syscalls("none").is_none());
  EXPECT_TRUE(syscalls("!all").is_none());
}

TEST(SyscallFilter, KnowsNamesOfEitherWordSize) {
  EXPECT_TRUE(syscalls("mmap2").wants("mmap2"));            // i386 alone
  EXPECT_TRUE(syscalls("arch_prctl").wants("arch_prctl"));  // both
}

TEST(SyscallFilter, TakesNamesOfWindowsAsTheyAre) {
  EXPECT_TRUE(syscalls("NtClose,NtUserGetKeyState").wants("NtClose"));
  for (const char* text : {"Nt", "NtCl-se", "Ntclose", "ZwClose"}) {
    EXPECT_FALSE(SyscallFilter::parse(text)) << text;
  }
}

TEST(SyscallFilter, KnowsAClass) {
  const SyscallFilter filter = syscalls("%process,open");
  EXPECT_TRUE(filter.wants("execve"));
  EXPECT_TRUE(filter.wants("exit_group"));
  EXPECT_TRUE(filter.wants("open"));
  EXPECT_FALSE(filter.wants("read"));
}

struct Misspelt {
  const char* text;
  const char* nearest;
};

TEST(SyscallFilter, NamesTheNearestOfANameThatThereIsNot) {
  for (const Misspelt& row : {Misspelt{"opne", "open"}, Misspelt{"open,exceve", "execve"},
                              Misspelt{"!getpdi", "getpid"}, Misspelt{"exitgroup", "exit_group"}}) {
    const auto filter = SyscallFilter::parse(row.text);
    ASSERT_FALSE(filter) << row.text;
    EXPECT_EQ(filter.error().code, Errc::kUsage);
    EXPECT_NE(filter.error().what.find("'" + std::string(row.nearest) + "'"), std::string::npos)
        << filter.error().what;
  }
}

TEST(SyscallFilter, RefusesWhatIsNoName) {
  for (const std::string& text :
       {std::string(), std::string("!"), std::string("open,"), std::string("open,,close"),
        std::string("open close"), std::string("all,none"), std::string("%nothing"),
        std::string("%"), std::string("status=failed"), std::string(100000, 'a')}) {
    EXPECT_EQ(SyscallFilter::parse(text).error().code, Errc::kUsage) << text.substr(0, 20);
  }
}

// --- Calls

CallFilter calls(const std::vector<std::string>& texts) {
  const auto filter = CallFilter::parse(texts);
  EXPECT_TRUE(filter) << filter.error().what;
  return filter.value_or(CallFilter{});
}

TEST(CallFilter, WantsEverythingUnlessTold) {
  EXPECT_TRUE(calls({}).is_all());
  EXPECT_TRUE(calls({"all"}).is_all());
  EXPECT_TRUE(calls({}).wants("libc.so.6", "malloc"));
}

TEST(CallFilter, WantsNothingWhenTold) {
  EXPECT_TRUE(calls({"none"}).is_none());
  EXPECT_FALSE(calls({"none"}).wants("libc.so.6", "malloc"));
}

TEST(CallFilter, WantsWhatAnyGlobMatches) {
  const CallFilter filter = calls({"libc.so.6!mal*", "free"});
  EXPECT_TRUE(filter.wants("libc.so.6", "malloc"));
  EXPECT_FALSE(filter.wants("libm.so.6", "malloc"));
  EXPECT_TRUE(filter.wants("libanything.so", "free"));
  EXPECT_FALSE(filter.wants("libc.so.6", "calloc"));
  EXPECT_FALSE(filter.is_all() || filter.is_none());
}

TEST(CallFilter, WantsWhatMayBeWanted) {
  const CallFilter filter = calls({"libc.so.6!memmove"});
  EXPECT_TRUE(filter.wants("", "memmove"));
  EXPECT_TRUE(filter.wants("libc.so.6", "memcpy|memmove"));
  EXPECT_FALSE(filter.wants("libc.so.6", "memcpy|mempcpy"));
}

TEST(CallFilter, RefusesHalfAPatternAndAMixture) {
  for (const std::vector<std::string>& texts : std::vector<std::vector<std::string>>{
           {""}, {"!malloc"}, {"libc!"}, {"none", "malloc"}, {"malloc", "all"}}) {
    EXPECT_EQ(CallFilter::parse(texts).error().code, Errc::kUsage) << texts.front();
  }
}

// --- Processes

TEST(ProcessFilter, IsOfEverybodyUnlessTold) {
  const auto filter = ProcessFilter::parse({}, false);
  ASSERT_TRUE(filter);
  EXPECT_TRUE(filter->is_all());
}

TEST(ProcessFilter, TakesDigitsForANumberAndTheRestForAName) {
  const std::vector<std::string> texts = {"812", "sh", "7zip"};
  const auto filter = ProcessFilter::parse(texts, true);
  ASSERT_TRUE(filter);
  EXPECT_EQ(filter->pids, (std::set<std::uint32_t>{812}));
  EXPECT_TRUE(filter->names.contains("sh"));
  EXPECT_TRUE(filter->names.contains("7zip"));
  EXPECT_TRUE(filter->follow);
}

TEST(ProcessFilter, RefusesANumberThatNoProcessHas) {
  for (const char* text : {"", "0", "4194305", "99999999999999999999"}) {
    const std::vector<std::string> texts = {text};
    EXPECT_EQ(ProcessFilter::parse(texts, false).error().code, Errc::kUsage) << text;
  }
}

}  // namespace
}  // namespace swat::daemon
