#include "osmodels/windows/chosen_offsets.hpp"

#include <algorithm>
#include <iterator>

namespace swat::os::windows {
namespace {

struct Member {
  std::string_view name;
  MemberOffset WindowsOffsets::*member;
  bool needed = true;
};
constexpr Member kMembers[] = {
    {"KPCR.Prcb.CurrentThread", &WindowsOffsets::pcr_current_thread},
    {"KTHREAD.ApcState.Process", &WindowsOffsets::thread_process},
    {"ETHREAD.Cid", &WindowsOffsets::thread_client_id},
    {"EPROCESS.UniqueProcessId", &WindowsOffsets::process_pid},
    {"EPROCESS.ActiveProcessLinks", &WindowsOffsets::process_links},
    {"EPROCESS.InheritedFromUniqueProcessId", &WindowsOffsets::process_parent_pid},
    {"EPROCESS.ImageFileName", &WindowsOffsets::process_name},
    {"EPROCESS.Peb", &WindowsOffsets::process_peb},
    {"EPROCESS.Wow64Process", &WindowsOffsets::process_wow64, false},
    {"EPROCESS.VadRoot", &WindowsOffsets::process_vad_root, false},
};

struct Comparison {
  std::size_t told = 0;
  std::size_t agreeing = 0;
  std::string differing;  // names
};

Comparison compare(const WindowsOffsets& told, const WindowsOffsets& row) {
  Comparison result;
  for (const Member& member : kMembers) {
    if (!(told.*member.member)) continue;
    ++result.told;
    if (told.*member.member == row.*member.member) {
      ++result.agreeing;
    } else {
      result.differing += (result.differing.empty() ? "" : ", ") + std::string(member.name);
    }
  }
  return result;
}

WindowsOffsets completed(WindowsOffsets told, const WindowsOffsets& row) {
  for (const Member& member : kMembers) {
    if (!(told.*member.member)) told.*member.member = row.*member.member;
  }
  return told;
}

bool is_complete(const WindowsOffsets& offsets) {
  return std::ranges::all_of(kMembers, [&](const Member& member) {
    return !member.needed || (offsets.*member.member).has_value();
  });
}

std::string describe(const Comparison& comparison, const OffsetRow& row) {
  std::string text = std::to_string(comparison.told) + " members by the kernel's accessors";
  if (comparison.told < std::size(kMembers)) text += ", others as " + std::string(row.name);
  if (comparison.differing.empty()) return text;
  return text + "; " + std::string(row.name) + " differs in " + comparison.differing;
}

std::size_t count(const WindowsOffsets& offsets) {
  return static_cast<std::size_t>(std::ranges::count_if(
      kMembers, [&](const Member& member) { return (offsets.*member.member).has_value(); }));
}

// What a candidate is found by, where the user's file has said some of it.
std::string describe(const GivenOffsets& given, const WindowsOffsets& all, std::string others) {
  if (given.by.empty()) return others;
  std::string text = std::to_string(count(given.offsets)) + " members by " + given.by;
  return given.offsets == all ? text : text + ", others: " + std::move(others);
}

}  // namespace

std::vector<OffsetCandidate> offset_candidates(const WindowsOffsets& told,
                                               const std::vector<const OffsetRow*>& rows,
                                               const GivenOffsets& given) {
  std::vector<const OffsetRow*> by_agreement = rows;
  std::ranges::stable_sort(by_agreement, std::ranges::greater{}, [&](const OffsetRow* row) {
    return compare(told, row->offsets).agreeing;
  });
  std::vector<OffsetCandidate> candidates;
  const auto add = [&](const WindowsOffsets& found, std::string found_by) {
    const WindowsOffsets offsets = completed(given.offsets, found);
    const bool is_known =
        std::ranges::find(candidates, offsets, &OffsetCandidate::offsets) != candidates.end();
    if (!is_known && is_complete(offsets)) {
      candidates.push_back({offsets, describe(given, offsets, std::move(found_by))});
    }
  };
  for (const OffsetRow* row : by_agreement) {
    add(completed(told, row->offsets), describe(compare(told, row->offsets), *row));
  }
  add(told, "the kernel's accessors");
  for (const OffsetRow* row : by_agreement) add(row->offsets, "as " + std::string(row->name));
  return candidates;
}

}  // namespace swat::os::windows
