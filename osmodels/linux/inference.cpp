#include "osmodels/linux/inference.hpp"

namespace swat::os {

Result<InferredProfile> infer_profile(const InferenceInput& input) {
  InferredProfile inferred;
  LinuxProfile& profile = inferred.profile;
  profile.source = "inference";
  profile.layout = input.layout;
  const inference::Tasks tasks = SWAT_TRY(inference::infer_tasks(input, profile));
  inferred.init_task = tasks.init_task;
  const std::vector<inference::AddressSpaceSample> spaces =
      SWAT_TRY(inference::infer_address_spaces(input, tasks, profile));
  SWAT_CHECK(inference::infer_files(input, spaces, profile));
  SWAT_CHECK(check_complete(profile));
  return inferred;
}

}  // namespace swat::os
