// What becomes of address spaces, and of the processes in them, as far as system calls tell.
//
// Knows nothing of a guest: calls and sightings in, lives out. A space is told by a number that
// whoever sees it gives it. Only that calls were made is known, not whether they succeeded: what
// they may have done is taken for true once what is seen next fits it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "osmodels/model.hpp"

namespace swat::os {

enum class SpaceId : std::uint64_t {};

class SpaceLives {
 public:
  // What a thread calls.
  struct Call {
    std::string_view name;
    std::optional<std::uint64_t> first;  // argument
    std::string path;                    // that it points to; "": none, or not known
  };

  // A space that was not seen before, and runs this program; whose process it is. `is_there` tells
  // whether another one still is: one that has called execve with that path, and is gone, has
  // become this one.
  ProcessKey begin(SpaceId space, std::string_view program,
                   const std::function<bool(SpaceId)>& is_there);
  // A thread of the space makes a call. Whose process it is from here on: not the same as before
  // if that has ended.
  ProcessKey enter(SpaceId space, const Call& call);
  // The only thread that is known of has called exit, or some thread exit_group; or it was never
  // seen.
  [[nodiscard]] bool is_over(SpaceId space) const;
  // The space is gone. All that may still come of it is what its execve has made.
  void leave(SpaceId space);

 private:
  struct Space {
    ProcessKey process{};
    unsigned others = 0;    // threads, or children of vfork, that were made in it
    std::string exec = {};  // what the last call, an execve, wants to run; "": it was none
    bool over = false;
  };

  static void exit(Space& space);

  std::unordered_map<SpaceId, Space> spaces_;
  std::uint64_t processes_ = 0;
};

}  // namespace swat::os
