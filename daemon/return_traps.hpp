// Which threads' saved results are watched (osmodels/x86/syscall_frame.hpp).
//
// A thread's word is watched from its first call on, and through the calls that follow, so that a
// busy thread costs no change of points. The watch goes when it is hit while the thread is in no
// call: by an exception's way back to user mode, which loads the word as well.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "gdbproto/session.hpp"
#include "osmodels/model.hpp"

namespace swat::daemon {

class ReturnTraps {
 public:
  // QEMU walks a list at each read of a watched page: with more than this the guest crawls.
  static constexpr std::size_t kMost = 512;

  struct Watched {
    os::ResultWord word;
    os::Thread owner;

    [[nodiscard]] gdbproto::Point point() const {
      return {gdbproto::PointKind::kReadWatch, word.at, word.watched_bytes};
    }
  };

  // The points to change before `owner`, at the entry of a call, runs on. Where there are too many,
  // the watch of a thread goes that `is_idle`; kUnsupported: none is.
  [[nodiscard]] Result<gdbproto::PointChanges> arm(
      const os::ResultWord& word, const os::Thread& owner,
      const std::function<bool(const os::Thread&)>& is_idle);
  // The point to remove. `watched` may be one of ours, which is no more then.
  [[nodiscard]] gdbproto::Point disarm(const Watched& watched);
  // The points to remove, of all.
  [[nodiscard]] std::vector<gdbproto::Point> clear();

  // Null: no watch of ours.
  [[nodiscard]] const Watched* find(Va word) const;
  [[nodiscard]] std::size_t size() const { return watched_.size(); }

 private:
  std::map<Va, Watched> watched_;  // by address of the word
};

}  // namespace swat::daemon
