// main() of the unit tests: a program of which a test was skipped says so, and only if none failed.
#include <gtest/gtest.h>

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;  // SKIP_RETURN_CODE in CMakeLists.txt, and of the e2e tests
  testing::InitGoogleTest(&argc, argv);
  const int failed = RUN_ALL_TESTS();
  const bool any_skipped = testing::UnitTest::GetInstance()->skipped_test_count() > 0;
  return failed == 0 && any_skipped ? kSkipped : failed;
}
