#include "osmodels/windows/service_names.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "symbols/pe_image.hpp"
#include "symbols/span_load.hpp"

namespace swat::os::windows {
namespace {

// Where the system has them: a program may bring its own.
constexpr std::string_view kDlls[] = {"\\system32\\ntdll.dll", "\\system32\\win32u.dll"};
constexpr std::uint32_t kMostNumbers = 0x4000;  // two bits for the table, twelve in it

// How stubs begin: what stands before the number, and behind it.
struct StubForm {
  unsigned word_bytes;
  std::array<std::uint8_t, 4> before;
  std::size_t before_bytes;
  std::array<std::uint8_t, 3> behind;
  std::size_t behind_bytes;
};
constexpr StubForm kForms[] = {
    {8, {0x4c, 0x8b, 0xd1, 0xb8}, 4, {}, 0},  // mov r10,rcx; mov eax,N
    {4, {0xb8}, 1, {0xba}, 1},                // mov eax,N; mov edx,KUSER_SHARED_DATA.SystemCall
    {4, {0xb8}, 1, {0x8d, 0x54, 0x24}, 3},    // mov eax,N; lea edx,[esp+4], of 5.0
};

bool has_at(std::span<const std::byte> code, std::size_t at,
            std::span<const std::uint8_t> expected) {
  if (code.size() < at + expected.size()) return false;
  return std::ranges::equal(std::as_bytes(expected), code.subspan(at, expected.size()));
}

bool ends_without_case(std::string_view text, std::string_view end) {
  const auto lower = [](unsigned char c) { return std::tolower(c); };
  if (text.size() < end.size()) return false;
  return std::ranges::equal(text.substr(text.size() - end.size()), end, {}, lower, lower);
}

}  // namespace

std::optional<std::uint32_t> service_of_stub(std::span<const std::byte> code, unsigned word_bytes) {
  for (const StubForm& form : kForms) {
    const std::size_t behind = form.before_bytes + sizeof(std::uint32_t);
    if (form.word_bytes != word_bytes ||
        !has_at(code, 0, std::span(form.before).first(form.before_bytes)) ||
        !has_at(code, behind, std::span(form.behind).first(form.behind_bytes))) {
      continue;
    }
    const auto number = symbols::load<std::uint32_t>(code, form.before_bytes);
    if (number && *number < kMostNumbers) return number;
  }
  return {};
}

ServiceNames::ServiceNames(const SyscallBuild* build) {
  if (build == nullptr) return;
  tables_ = {syscall_names(*build, SyscallTable::kNt),
             syscall_names(*build, SyscallTable::kWin32k)};
}

bool ServiceNames::are_in(std::string_view path) {
  return std::ranges::any_of(
      kDlls, [&](std::string_view known) { return ends_without_case(path, known); });
}

// Zw functions of a user's ntdll are the Nt ones by another name.
bool ServiceNames::learn(VirtualMemory& memory, Va base, unsigned word_bytes) {
  const auto image = symbols::PeImage::open(memory, base);
  if (!image || image->is_64_bit() != (word_bytes == 8)) return false;
  const auto exports = image->exports(memory);
  if (!exports) return false;
  bool is_complete = true;
  for (const symbols::PeExport& e : *exports) {
    if (!e.name.starts_with("Nt") || e.is_forwarder() || !e.is_code) continue;
    std::array<std::byte, kStubBytes> code{};
    if (!memory.read(e.address, code)) {
      is_complete = false;
      continue;
    }
    const auto number = service_of_stub(code, word_bytes);
    if (!number) continue;
    names_.try_emplace(*number, e.name);
    const std::size_t table = *number >> kTableShift;
    if (table < kTables) tables_[table].clear();
  }
  return is_complete;
}

std::string_view ServiceNames::name(std::uint64_t number) const {
  if (const auto known = names_.find(number); known != names_.end()) return known->second;
  const std::uint64_t table = number >> kTableShift;
  const std::uint64_t index = number & ((1u << kTableShift) - 1);
  return table < kTables && index < tables_[table].size() ? tables_[table][index]
                                                          : std::string_view{};
}

}  // namespace swat::os::windows
