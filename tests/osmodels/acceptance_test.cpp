// A profile is published only when the guest agrees with it: right ones of real guests are, and no
// wrong one.
#include "osmodels/linux/acceptance.hpp"

#include <gtest/gtest.h>

#include <iostream>

#include "damaged_view.hpp"
#include "linux_dump.hpp"
#include "osmodels/linux/kernel_locator.hpp"

namespace swat::os {
namespace {

using State = Invariant::State;

Acceptance verdict(std::initializer_list<State> required) {
  Acceptance acceptance;
  for (const State state : required) acceptance.invariants.push_back({"one", true, state, "why"});
  return acceptance;
}

TEST(Acceptance, TakesFourInvariants) {
  EXPECT_FALSE(verdict({State::kHolds, State::kHolds, State::kHolds}).accepts());
  EXPECT_FALSE(verdict({State::kHolds, State::kHolds, State::kHolds, State::kUntested}).accepts());
  EXPECT_TRUE(verdict({State::kHolds, State::kHolds, State::kHolds, State::kHolds}).accepts());
}

TEST(Acceptance, TakesNoProfileThatIsBrokenWhereItIsNeeded) {
  Acceptance acceptance =
      verdict({State::kHolds, State::kHolds, State::kHolds, State::kHolds, State::kBroken});
  EXPECT_FALSE(acceptance.accepts());
  EXPECT_EQ(acceptance.to_string(), "4 of 5 invariants agree; one: why");
  acceptance.invariants.back().required = false;
  EXPECT_TRUE(acceptance.accepts());
}

class RealAcceptance : public test::LinuxDump {
 protected:
  void SetUp() override {
    LinuxDump::SetUp();
    if (IsSkipped()) return;
    view_ = std::make_unique<test::DumpView>(directory_);
    auto found = describe_linux(*view_);
    ASSERT_TRUE(found) << found.error().what;
    description_ = std::make_unique<KernelDescription>(*std::move(found));
    auto kernel = locate_kernel(*view_);
    ASSERT_TRUE(kernel) << kernel.error().what;
    kernel_ = *std::move(kernel);
  }

  Acceptance judge(LinuxProfile& profile) {
    AddressSpace space(view_->ram(), *kernel_.geometry, kernel_.root);
    return judge_profile(
        {view_->ram(), space, *kernel_.user_geometry, kernel_.geometry == kernel_.user_geometry,
         kernel_.entry, description_->init_task},
        profile);
  }

  std::unique_ptr<test::DumpView> view_;
  std::unique_ptr<KernelDescription> description_;
  LocatedKernel kernel_;
};

// What a leader's task_struct has twice: `parent` is `real_parent` but for who traces it, and
// `active_mm` is `mm` but for kernel threads that borrow one; and until 3.14 an mm_struct's
// `mmap_cache` is nearly always the first VMA, too. Inference takes the first of each.
bool is_the_same(const ProfileField& field, std::int64_t words) {
  return ((field.name == "task_real_parent" || field.name == "task_mm") && words == 1) ||
         (field.name == "mm_mmap" && words == 2);
}

TEST_P(RealAcceptance, RefusesEveryRequiredMemberThatIsElsewhere) {
  constexpr std::int64_t kFarthest = 12;
  std::size_t tried = 0;
  for (const ProfileField& field : profile_fields()) {
    const bool needed = field.required || field.name == "task_group_leader" ||
                        field.name == "mm_mmap" || field.name == "mm_tree_root";
    const MemberOffset right = description_->profile.*field.member;
    if (!needed || !right) continue;
    for (std::int64_t words = -kFarthest; words <= kFarthest; ++words) {
      const std::int64_t moved = *right + words * 8;
      if (words == 0 || moved < 0 || is_the_same(field, words)) continue;
      LinuxProfile wrong = description_->profile;
      wrong.*field.member = static_cast<std::uint32_t>(moved);
      const Acceptance acceptance = judge(wrong);
      EXPECT_FALSE(acceptance.accepts())
          << field.name << " moved by " << words << " words: " << acceptance.to_string();
      ++tried;
    }
  }
  EXPECT_GT(tried, 300u);
}

TEST_P(RealAcceptance, AgreesInEverythingWithARightProfile) {
  LinuxProfile profile = description_->profile;
  const Acceptance acceptance = judge(profile);
  EXPECT_EQ(acceptance.count(State::kHolds), acceptance.invariants.size())
      << acceptance.to_string();
}

TEST_P(RealAcceptance, TakesOutMembersThatAreElsewhereAndCanBeDoneWithout) {
  LinuxProfile profile = description_->profile;
  profile.mm_start_stack = profile.mm_pgd;
  *profile.vfsmount_root += 8;
  const Acceptance acceptance = judge(profile);
  EXPECT_TRUE(acceptance.accepts()) << acceptance.to_string();
  EXPECT_FALSE(profile.mm_start_stack);
  EXPECT_FALSE(profile.vfsmount_root);
  EXPECT_TRUE(profile.task_stack);
}

// Many wrong words or few, in BTF and in the data: attaching fails, or it has found what is right.
TEST_P(RealAcceptance, NoWrongProfileOfADamagedGuestIsPublished) {
  int attached = 0;
  constexpr std::uint64_t kGuests = 6;
  for (std::uint64_t seed = 1; seed <= kGuests; ++seed) {
    const unsigned one_in = seed % 3 == 0 ? 1000 : seed % 3 == 1 ? 30000 : 1000000;
    test::DamagedView damaged(*view_, seed, one_in);
    const auto guest =
        attach_linux(damaged, {.use_btf = seed % 2 == 0, .use_symbols = seed % 4 < 2});
    if (!guest) continue;
    ++attached;
    for (const ProfileField& field : profile_fields()) {
      if (!field.required) continue;
      EXPECT_EQ(guest->profile.*field.member, description_->profile.*field.member)
          << field.name << ", seed " << seed;
    }
  }
  std::cout << GetParam() << ": attached to " << attached << " of " << kGuests
            << " damaged guests\n";
}

INSTANTIATE_TEST_SUITE_P(Guests, RealAcceptance, testing::ValuesIn(test::dump_names()),
                         test::dump_test_name);

}  // namespace
}  // namespace swat::os
