#include "symbols/btf.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "btf_sample.h"

namespace swat::symbols::test {
namespace {

// A section written word by word. [Documentation/bpf/btf.rst]
class SectionBuilder {
 public:
  std::uint32_t string(std::string_view text) {
    const std::size_t at = strings_.size();
    strings_.append(text).push_back('\0');
    return static_cast<std::uint32_t>(at);
  }
  // The id of the new type.
  std::uint32_t type(unsigned kind, std::string_view name, std::uint32_t size_or_type,
                     std::vector<std::uint32_t> rest = {}, std::uint32_t vlen = 0,
                     bool flag = false) {
    types_.push_back(name.empty() ? 0 : string(name));
    types_.push_back(kind << 24 | vlen | (flag ? 1u << 31 : 0));
    types_.push_back(size_or_type);
    types_.insert(types_.end(), rest.begin(), rest.end());
    return ++last_id_;
  }
  [[nodiscard]] std::vector<std::byte> bytes() const {
    const auto types_bytes = static_cast<std::uint32_t>(types_.size() * 4);
    std::vector<std::uint32_t> words = {
        0x0001eb9f, 24, 0, types_bytes, types_bytes, static_cast<std::uint32_t>(strings_.size())};
    words.insert(words.end(), types_.begin(), types_.end());
    const auto raw = std::as_bytes(std::span(words));
    std::vector<std::byte> out(raw.begin(), raw.end());
    const auto text = std::as_bytes(std::span(strings_));
    out.insert(out.end(), text.begin(), text.end());
    return out;
  }

 private:
  std::vector<std::uint32_t> types_;
  std::string strings_ = std::string(1, '\0');
  std::uint32_t last_id_ = 0;
};

constexpr unsigned kInt = 1, kArray = 3, kStruct = 4, kTypedef = 8, kConst = 10;

std::vector<std::byte> sample_section() {
  std::ifstream file(SWAT_BTF_SAMPLE, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto raw = std::as_bytes(std::span(text));
  return {raw.begin(), raw.end()};
}

#define EXPECT_MEMBER(btf, path)                                                   \
  do {                                                                             \
    const auto found = (btf).member("task_struct", #path);                         \
    ASSERT_TRUE(found) << #path << ": " << found.error().what;                     \
    EXPECT_EQ(found->offset_bytes, offsetof(struct ::task_struct, path)) << #path; \
    EXPECT_EQ(found->size_bytes, sizeof(::task_struct::path)) << #path;            \
  } while (false)

TEST(Btf, AgreesWithTheCompilerOnEveryKindOfMember) {
  const auto btf = Btf::parse(sample_section());
  ASSERT_TRUE(btf) << btf.error().what;
  EXPECT_EQ(btf->size_of("task_struct"), sizeof(::task_struct));
  EXPECT_EQ(btf->size_of("atomic_t"), sizeof(::atomic_t));
  EXPECT_MEMBER(*btf, thread_info);
  EXPECT_MEMBER(*btf, state);
  EXPECT_MEMBER(*btf, stack);
  EXPECT_MEMBER(*btf, usage);
  EXPECT_MEMBER(*btf, pid);
  EXPECT_MEMBER(*btf, tasks);
  EXPECT_MEMBER(*btf, exit_code);
  EXPECT_MEMBER(*btf, exit_signal);
  EXPECT_MEMBER(*btf, exit_byte);
  EXPECT_MEMBER(*btf, comm);
  EXPECT_MEMBER(*btf, thread);
  EXPECT_MEMBER(*btf, how);
  EXPECT_MEMBER(*btf, hook);
  EXPECT_MEMBER(*btf, mm);
  EXPECT_MEMBER(*btf, load);
}

TEST(Btf, FollowsPathsThroughNamedMembers) {
  const auto btf = Btf::parse(sample_section());
  ASSERT_TRUE(btf) << btf.error().what;
  const auto member = [&](std::string_view path) { return btf->member("task_struct", path); };
  EXPECT_EQ(member("thread_info.cpu")->offset_bytes, offsetof(::task_struct, thread_info.cpu));
  EXPECT_EQ(member("thread.matrix")->offset_bytes, offsetof(::task_struct, thread.matrix));
  EXPECT_EQ(member("thread.matrix")->size_bytes, 15u);
  EXPECT_EQ(member("tasks.prev")->offset_bytes, offsetof(::task_struct, tasks.prev));
  EXPECT_EQ(member("usage.counter")->size_bytes, 4u);
}

// on_rq and sched_class share the byte that pid's alignment leaves behind usage.
TEST(Btf, GivesTheBytesThatHoldABitfield) {
  const auto btf = Btf::parse(sample_section());
  ASSERT_TRUE(btf) << btf.error().what;
  const auto field = btf->member("task_struct", "sched_class");
  ASSERT_TRUE(field) << field.error().what;
  EXPECT_EQ(field->offset_bytes, offsetof(::task_struct, usage) + sizeof(::atomic_t));
  EXPECT_EQ(field->size_bytes, 1u);
}

TEST(Btf, SaysNotFoundOfWhatIsNotThere) {
  const auto btf = Btf::parse(sample_section());
  ASSERT_TRUE(btf) << btf.error().what;
  for (const auto& [structure, path] :
       {std::pair("no_such", "pid"), std::pair("task_struct", "no_such"),
        std::pair("task_struct", "thread_info.no_such"), std::pair("task_struct", "pid.x"),
        std::pair("task_struct", "mm.next"), std::pair("task_struct", ""),
        std::pair("pid16_t", "x")})
    EXPECT_EQ(btf->member(structure, path).error().code, Errc::kNotFound) << structure << path;
}

TEST(Btf, IsFoundInAnImageBehindAModulesSection) {
  SectionBuilder module;
  const auto module_id = module.type(kInt, "int", 4, {32});
  module.type(kStruct, "module_only", 4, {module.string("x"), module_id, 0}, 1);
  std::vector<std::byte> memory(4096);
  const auto add = [&](const std::vector<std::byte>& section) {
    memory.insert(memory.end(), section.begin(), section.end());
    memory.resize(memory.size() + 100);
  };
  add(module.bytes());
  add(sample_section());
  const auto btf = Btf::find({Va{0xffffffff81000000}, memory, 8});
  ASSERT_TRUE(btf) << btf.error().what;
  EXPECT_EQ(btf->size_of("task_struct"), sizeof(::task_struct));
  memory.resize(memory.size() - 101);  // its last byte is gone
  EXPECT_EQ(Btf::find({Va{0xffffffff81000000}, memory, 8}).error().code, Errc::kNotFound);
}

TEST(Btf, ABitfieldsOffsetIsNotItsWidth) {
  SectionBuilder section;
  const auto integer = section.type(kInt, "int", 4, {32});
  section.type(kStruct, "s", 8, {section.string("bits"), integer, 3u << 24 | 38}, 1, true);
  const auto btf = Btf::parse(section.bytes());
  ASSERT_TRUE(btf) << btf.error().what;
  const auto bits = btf->member("s", "bits");
  ASSERT_TRUE(bits) << bits.error().what;
  EXPECT_EQ(bits->offset_bytes, 4u);
  EXPECT_EQ(bits->size_bytes, 2u);  // bits 6 to 8 of two bytes
}

TEST(Btf, APointerIsAsWideAsALong) {
  SectionBuilder section;
  section.type(kInt, "long unsigned int", 4, {32});
  const auto pointer = section.type(2, "", 1);
  section.type(kStruct, "s", 4, {section.string("p"), pointer, 0}, 1);
  EXPECT_EQ(Btf::parse(section.bytes())->member("s", "p")->size_bytes, 4u);
}

TEST(Btf, RefusesTypesThatNameEachOther) {
  SectionBuilder section;
  section.type(kTypedef, "a", 2);
  section.type(kConst, "", 1);
  section.type(kStruct, "s", 8, {section.string("x"), 1, 0}, 1);
  // A structure that holds itself twice, anonymously: 2^32 ways down.
  section.type(kStruct, "t", 8, {0, 4, 0, 0, 4, 0}, 2);
  section.type(kArray, "", 0, {5, 5, 0xffffffff});
  section.type(kStruct, "u", 8, {section.string("x"), 5, 0}, 1);
  const auto btf = Btf::parse(section.bytes());
  ASSERT_TRUE(btf) << btf.error().what;
  EXPECT_EQ(btf->member("s", "x").error().code, Errc::kBadImage);
  EXPECT_EQ(btf->member("t", "x").error().code, Errc::kBadImage);
  EXPECT_EQ(btf->member("u", "x").error().code, Errc::kBadImage);
}

TEST(Btf, AKindItDoesNotKnowIsUnsupported) {
  SectionBuilder section;
  section.type(25, "x", 0);
  EXPECT_EQ(Btf::parse(section.bytes()).error().code, Errc::kUnsupported);
}

TEST(Btf, SurvivesBeingCutAndFlipped) {
  const std::vector<std::byte> good = sample_section();
  ASSERT_FALSE(good.empty());
  const auto exercise = [](const std::vector<std::byte>& section) {
    const auto btf = Btf::parse(section);
    if (!btf) return;
    for (const std::string_view path : {"comm", "thread.matrix", "exit_byte", "mm.next"})
      static_cast<void>(btf->member("task_struct", path));
  };
  for (std::size_t size = 0; size < good.size(); ++size)
    exercise({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)});
  std::mt19937 random(5);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::byte> bad = good;
    for (int i = 0; i < 3; ++i) bad[random() % bad.size()] = static_cast<std::byte>(random());
    exercise(bad);
  }
}

}  // namespace
}  // namespace swat::symbols::test
