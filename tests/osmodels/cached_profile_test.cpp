// What is kept of a kernel between runs: the same comes back, and nothing that is not right for the
// guest is used.
#include "osmodels/linux/cached_profile.hpp"

#include <gtest/gtest.h>

#include <map>

#include "linux_dump.hpp"

namespace swat::os {
namespace {

constexpr std::string_view kBanner = "Linux version 6.1.0-1-amd64 (gcc) #1 SMP";

CachedProfile sample() {
  CachedProfile cached;
  cached.profile.source = "inference";
  cached.profile.layout = kX86_64Layout;
  std::uint32_t offset = 8;
  for (const ProfileField& field : profile_fields()) {
    cached.profile.*field.member = offset;
    offset += 8;
  }
  cached.profile.mm_tree_root.reset();
  cached.init_task = 0x1a0b840;
  cached.clock = ClockLayout{Va{0x2000}, 16, 24, 32};
  return cached;
}

TEST(CachedProfile, ComesBackAsItWas) {
  const CachedProfile before = sample();
  const auto after = parse_cached_profile(to_text(before, kBanner), kBanner, kX86_64Layout);
  ASSERT_TRUE(after) << after.error().what;
  for (const ProfileField& field : profile_fields()) {
    EXPECT_EQ(after->profile.*field.member, before.profile.*field.member) << field.name;
  }
  EXPECT_EQ(after->profile.source, "inference");
  EXPECT_EQ(after->init_task, before.init_task);
  ASSERT_TRUE(after->clock);
  EXPECT_EQ(after->clock->timekeeper, Va{0x2000});
  EXPECT_EQ(after->clock->shift, 32u);
}

TEST(CachedProfile, IsRefusedWhereverItIsCutOrChanged) {
  const std::string text = to_text(sample(), kBanner);
  for (std::size_t i = 0; i < text.size(); ++i) {
    EXPECT_FALSE(parse_cached_profile(text.substr(0, i), kBanner, kX86_64Layout)) << i;
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(parse_cached_profile(changed, kBanner, kX86_64Layout)) << i;
  }
}

// BTF has 32 bits for an offset: the guest would choose how much of our memory a structure takes.
TEST(CachedProfile, IsRefusedWithAMemberFurtherOutThanStructuresAreLarge) {
  for (const ProfileField& field : profile_fields()) {
    LinuxProfile profile = sample().profile;
    EXPECT_TRUE(check_complete(profile));
    profile.*field.member = 0xfffffff0;
    const Result<> checked = check_complete(profile);
    ASSERT_FALSE(checked) << field.name;
    EXPECT_EQ(checked.error().code, Errc::kBadImage);
  }
}

TEST(CachedProfile, IsOfOneKernelOnly) {
  const std::string text = to_text(sample(), kBanner);
  EXPECT_FALSE(parse_cached_profile(text, "Linux version 6.1.0-2-amd64", kX86_64Layout));
  KernelLayout narrow = kX86_64Layout;
  narrow.word_bytes = 4;
  EXPECT_FALSE(parse_cached_profile(text, kBanner, narrow));
}

TEST(CachedProfile, KeyIsTheBuildIdOrTheBannersHash) {
  const std::string id = "0123456789abcdef0123456789abcdef01234567";
  EXPECT_EQ(profile_key(kBanner, id), id);
  const std::string by_banner = profile_key(kBanner, {});
  EXPECT_TRUE(by_banner.starts_with("banner-")) << by_banner;
  EXPECT_NE(by_banner, profile_key("Linux version 6.1.0-2-amd64", {}));
  EXPECT_EQ(profile_key(kBanner, "../../../../etc/passwd"), by_banner);
}

class MapStore final : public ProfileStore {
 public:
  std::optional<std::string> load(std::string_view key) override {
    const auto found = texts.find(std::string(key));
    return found == texts.end() ? std::nullopt : std::optional(found->second);
  }
  void save(std::string_view key, std::string_view text) override {
    texts[std::string(key)] = text;
  }
  void reject(std::string_view, std::string_view why) override { rejected.emplace_back(why); }

  std::map<std::string, std::string> texts;
  std::vector<std::string> rejected;
};

class CachedGuest : public test::LinuxDump {
 protected:
  test::Attachment attach_with(MapStore& store) {
    LinuxModelOptions options;
    options.store = &store;
    return attach(options);
  }
};

bool is_from_cache(const OsModel& model) {
  return std::ranges::any_of(model.provenance(), [](const std::string& line) {
    return line.find("kept from an earlier run") != std::string::npos;
  });
}

TEST_P(CachedGuest, IsKnownTheSecondTime) {
  MapStore store;
  const auto first = attach_with(store);
  ASSERT_TRUE(first.linux_guest) << first.linux_guest.error().what;
  EXPECT_FALSE(is_from_cache(*first.linux_guest->model));
  ASSERT_EQ(store.texts.size(), 1u);
  const auto second = attach_with(store);
  ASSERT_TRUE(second.linux_guest) << second.linux_guest.error().what;
  EXPECT_TRUE(is_from_cache(*second.linux_guest->model));
  EXPECT_TRUE(store.rejected.empty());
  for (const ProfileField& field : profile_fields()) {
    EXPECT_EQ(second.linux_guest->profile.*field.member, first.linux_guest->profile.*field.member)
        << field.name;
  }
  ASSERT_TRUE(first.linux_guest->model->current(0));
  ASSERT_TRUE(second.linux_guest->model->current(0));
  EXPECT_EQ(second.linux_guest->model->wall_clock_ns().value_or(0),
            first.linux_guest->model->wall_clock_ns().value_or(0));
}

// Written by somebody who knows the hash, too.
TEST_P(CachedGuest, IsFoundAnewWhereWhatIsKeptIsWrong) {
  MapStore store;
  const auto right = attach_with(store);
  ASSERT_TRUE(right.linux_guest) << right.linux_guest.error().what;
  const std::string key = store.texts.begin()->first;
  const std::string banner = right.linux_guest->model->provenance().front();
  const auto kept =
      parse_cached_profile(store.texts[key], banner, right.linux_guest->profile.layout);
  ASSERT_TRUE(kept) << kept.error().what;
  constexpr std::string_view kMoved[] = {"task_pid", "task_mm", "mm_pgd", "vma_flags",
                                         "dentry_name"};
  for (const ProfileField& field : profile_fields()) {
    if (std::ranges::find(kMoved, field.name) == std::end(kMoved)) continue;
    CachedProfile wrong = *kept;
    wrong.profile.*field.member = *(wrong.profile.*field.member) + 16;
    store.texts[key] = to_text(wrong, banner);
    store.rejected.clear();
    const auto guest = attach_with(store);
    ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
    EXPECT_EQ(store.rejected.size(), 1u) << field.name;
    EXPECT_EQ(guest.linux_guest->profile.*field.member, right.linux_guest->profile.*field.member)
        << field.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Guests, CachedGuest, testing::ValuesIn(test::dump_names()),
                         test::dump_test_name);

}  // namespace
}  // namespace swat::os
