#include "gdbproto/stop_reply.hpp"

#include <gtest/gtest.h>

namespace swat::gdbproto {
namespace {

TEST(StopReply, NamesTheVcpuOfATrap) {
  const auto stop = StopReply::parse("T05thread:02;");
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->signal, 5);
  EXPECT_EQ(stop->thread, (ThreadId{std::nullopt, 2}));
  EXPECT_FALSE(stop->watch);
}

TEST(StopReply, CarriesTheWatchedAddressOfEachKindOfWatch) {
  for (const char* key : {"watch", "rwatch", "awatch"}) {
    const auto stop = StopReply::parse(std::string("T05thread:01;") + key + ":ffff888000012340;");
    ASSERT_TRUE(stop) << key;
    EXPECT_EQ(stop->watch, Va{0xffff888000012340});
  }
}

TEST(StopReply, NamesTheProcessOfAMultiprocessStub) {
  const auto stop = StopReply::parse("T02thread:p01.0a;");
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->thread, (ThreadId{1, 10}));
  EXPECT_EQ(stop->thread->to_string(), "p01.0a");
}

TEST(StopReply, DoesWithoutAThread) {
  for (const char* text : {"T05core:02;", "S05", "T05", "T05core:02"}) {
    const auto stop = StopReply::parse(text);
    ASSERT_TRUE(stop) << text;
    EXPECT_FALSE(stop->thread);
    EXPECT_EQ(stop->signal, 5);
  }
}

TEST(StopReply, TellsThatQemuIsEnding) {
  for (const char* text : {"W00", "X09", "W00;process:1"}) {
    const auto stop = StopReply::parse(text);
    ASSERT_TRUE(stop) << text;
    EXPECT_TRUE(stop->exited);
  }
}

TEST(StopReply, RefusesWhatIsNone) {
  for (const char* text :
       {"", "T", "T0", "Tzz", "OK", "E01", "T05thread:;", "T05thread:p1;", "T05thread:xyz;",
        "T05thread:123456789;", "T05watch:;", "T05watch:12345678901234567;", "T05noise;"}) {
    EXPECT_FALSE(StopReply::parse(text)) << text;
  }
}

TEST(ThreadId, IsSpelledAsQemuSpellsIt) {
  EXPECT_EQ(ThreadId{}.to_string(), "01");
  EXPECT_EQ((ThreadId{std::nullopt, 0x123}).to_string(), "123");
  EXPECT_EQ(*ThreadId::parse("p01.02"), (ThreadId{1, 2}));
}

}  // namespace
}  // namespace swat::gdbproto
