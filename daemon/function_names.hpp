// Which function begins at an address of a process: by its modules' exports, and for IFUNCs, whose
// exports name a resolver that nobody calls, by where import slots of that name lead.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "daemon/entry_points.hpp"
#include "daemon/exec_log_filter.hpp"
#include "daemon/process_table.hpp"
#include "daemon/selection.hpp"

namespace swat::daemon {

// What an image exports, by address; of it only what is wanted.
class ImageFunctions {
 public:
  ImageFunctions(std::shared_ptr<const Image> image, std::string_view module,
                 const CallFilter& wanted);

  [[nodiscard]] const Image& image() const { return *image_; }
  [[nodiscard]] const std::shared_ptr<const EntryPoints>& entries() const { return entries_; }
  // Names of the function that begins at `offset`, as a program of today would call it:
  // `__libc_malloc` and `cfree` are left out where there are `malloc` and `free`. Null: none begins
  // there.
  [[nodiscard]] const std::vector<std::string>* at(std::uint64_t offset) const;
  // The first offset behind `offset` where another begins.
  [[nodiscard]] std::uint64_t end_of(std::uint64_t offset) const { return entries_->after(offset); }
  [[nodiscard]] const std::vector<std::string_view>& ifuncs() const { return ifuncs_; }
  [[nodiscard]] bool imports(std::string_view name) const { return imports_.contains(name); }

 private:
  std::shared_ptr<const Image> image_;  // holds the names that ifuncs_ refers to
  std::unordered_map<std::uint64_t, std::vector<std::string>> names_;
  std::vector<std::string_view> ifuncs_;
  std::unordered_set<std::string_view> imports_;
  std::shared_ptr<const EntryPoints> entries_;
};

// The functions of one address space.
class ProcessFunctions {
 public:
  using Images = std::vector<std::shared_ptr<const ImageFunctions>>;

  // `images[i]` is of `view.modules[i]`, null where that has not been read yet.
  ProcessFunctions(const ProcessView& view, Images images);

  // Reads the slots of IFUNCs that are not bound yet. True: some are by now, and there are more
  // functions. The guest stands still.
  bool read_slots(const ProcessView& view, VirtualMemory& memory);

  // For the filter of the execution log.
  [[nodiscard]] std::vector<LoggedModule> logged(const ProcessView& view) const;

  struct Function {
    std::string name;  // "a|b" where the address has two and nothing tells
    std::string module;
  };
  using FunctionPtr = std::shared_ptr<const Function>;
  // `from`: a block that led there, null when not known. It tells which of several names is meant,
  // and a loop from a call. Null: no call of a function. The guest stands still.
  [[nodiscard]] std::shared_ptr<const Function> find(const ProcessView& view, VirtualMemory& memory,
                                                     Va at, Va from);
  // Some IFUNC leads nobody knows where yet.
  [[nodiscard]] bool has_unbound() const { return !unbound_.empty(); }

 private:
  struct Slot {
    Va at;
    std::size_t user;    // index of the module that has it
    std::size_t holder;  // of the one that exports the IFUNC
    std::string_view name;
  };
  struct Found {
    FunctionPtr function;            // all names, joined; null: none begins there
    std::vector<std::string> names;  // when there are several
    Va end;                          // of the function
    // Where it matters where control came from: which name is meant; null for no call.
    std::unordered_map<Va, FunctionPtr> by_origin;
  };

  void list_slots(const ProcessView& view);
  // Whether the slot, which holds `target`, is done with; notes where its IFUNC leads.
  [[nodiscard]] bool settle(const ProcessView& view, VirtualMemory& memory, const Slot& slot,
                            Va target);
  [[nodiscard]] Found look_up(const ProcessView& view, Va at) const;
  [[nodiscard]] FunctionPtr seen_from(const ProcessView& view, VirtualMemory& memory, Va at,
                                      const Found& found, Va from) const;
  [[nodiscard]] std::vector<std::string> names_at(const ProcessView& view, Va at) const;
  [[nodiscard]] const ImageFunctions* functions_of(const ProcessView& view,
                                                   const LoadedModule* module) const;

  Images images_;
  std::vector<Slot> unbound_;                                         // ascending by address
  std::unordered_map<std::uint64_t, std::set<std::string>> targets_;  // by address
  std::unordered_map<Va, Found> found_;
};

}  // namespace swat::daemon
