// How every layer reports failure: a value, never an exception, for whatever the guest, QEMU or the
// network can cause (STYLE.md section 4).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace swat {

enum class Errc {
  kFault,         // the guest address is not mapped, or not readable now
  kProtocol,      // a peer said something that its protocol does not allow
  kUnsupported,   // understood, but this peer, guest or build cannot do it
  kTimeout,       // no answer within the time allowed
  kInterrupted,   // the wait was ended by us (a signal), nothing is wrong
  kDisconnected,  // the peer closed the connection
  kBadImage,      // the bytes of an image or a structure contradict each other
  kNotFound,      // looked everywhere, it is not there
  kUsage,         // what the user asked for cannot be meant
};

struct Error {
  Errc code;
  std::string what;                    // part of a sentence: "short read of task_struct"
  std::optional<std::uint64_t> guest;  // the guest address, when the error has one
};

template <class T = void>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Errc code, std::string what,
                                  std::optional<std::uint64_t> guest = {}) {
  return tl::unexpected<Error>(Error{code, std::move(what), guest});
}

}  // namespace swat

// NOLINTBEGIN(bugprone-macro-parentheses): `name` is an identifier that is being declared
// Evaluates to the value, or returns the error from the enclosing function. g++ 12 crashes on it in
// coroutines, and leaks what stands before it within braces: `T{owner(), SWAT_TRY(x)}`.
#define SWAT_TRY(expr) SWAT_TRY_AS(SWAT_UNIQUE(swat_result_, __COUNTER__), expr)
#define SWAT_TRY_AS(name, expr)                                                 \
  ({                                                                            \
    auto&& name = (expr);                                                       \
    if (!name) return ::tl::unexpected<::swat::Error>(std::move(name).error()); \
    *std::move(name);                                                           \
  })

// The same for a Result<void>, whose value is nothing.
#define SWAT_CHECK(expr) SWAT_CHECK_AS(SWAT_UNIQUE(swat_result_, __COUNTER__), expr)
#define SWAT_CHECK_AS(name, expr)                                               \
  do {                                                                          \
    auto&& name = (expr);                                                       \
    if (!name) return ::tl::unexpected<::swat::Error>(std::move(name).error()); \
  } while (false)
// NOLINTEND(bugprone-macro-parentheses)

#define SWAT_UNIQUE(prefix, number) SWAT_JOIN(prefix, number)
#define SWAT_JOIN(a, b) a##b
