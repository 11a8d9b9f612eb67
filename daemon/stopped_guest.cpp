#include "daemon/stopped_guest.hpp"

#include <cstdlib>

namespace swat::daemon {
namespace {

// "GDT=     fffffe0000001000 0000007f": the first number after the name.
std::optional<std::uint64_t> number_after(std::string_view text, std::string_view name) {
  const auto at = text.find(name);
  if (at == text.npos) return {};
  const std::string rest(text.substr(at + name.size(), 40));
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(rest.c_str(), &end, 16);
  if (end == rest.c_str()) return {};
  return value;
}

// "TR =0040 fffffe0000003000 00004087 00008b00 DPL=0 TSS64-busy": the second one.
std::optional<std::uint64_t> task_register_base(std::string_view text) {
  const auto at = text.find("TR =");
  if (at == text.npos) return {};
  const auto space = text.find(' ', at + 4);
  if (space == text.npos) return {};
  return number_after(text.substr(space), " ");
}

}  // namespace

Result<StoppedGuest> StoppedGuest::over(gdbproto::Session& session, PhysicalMemory& ram) {
  const os::Machine* machine = os::find_machine(session.target().architecture());
  if (machine != nullptr) return StoppedGuest(session, ram, *machine);
  return fail(Errc::kUnsupported,
              "guest architecture '" + session.target().architecture() + "' is not supported");
}

unsigned StoppedGuest::vcpu_count() const {
  return static_cast<unsigned>(session_.threads().size());
}

void StoppedGuest::forget() {
  for (auto& g : g_) g.reset();
  ram_->forget();
}

void StoppedGuest::remember(unsigned vcpu, std::vector<std::byte> g) {
  g_.resize(vcpu_count());
  if (vcpu < g_.size()) g_[vcpu] = std::move(g);
}

// A 32-bit kernel may run on a CPU whose target.xml has 64 bits.
const gdbproto::RegisterInfo* StoppedGuest::find_register(std::string_view name) const {
  const gdbproto::RegisterInfo* info = session_.target().find(name);
  if (info != nullptr || name.size() != 3 || (name[0] != 'r' && name[0] != 'e')) return info;
  std::string other(name);
  other[0] = name[0] == 'r' ? 'e' : 'r';
  return session_.target().find(other);
}

Result<std::uint64_t> StoppedGuest::reg(unsigned vcpu, std::string_view name) {
  const gdbproto::RegisterInfo* info = find_register(name);
  if (info == nullptr) return fail(Errc::kNotFound, "no register " + std::string(name));
  g_.resize(vcpu_count());
  if (vcpu >= g_.size()) return fail(Errc::kNotFound, "no vCPU " + std::to_string(vcpu));
  if (!g_[vcpu]) g_[vcpu] = SWAT_TRY(session_.registers(session_.threads()[vcpu]));
  if (info->offset + info->size_bytes <= g_[vcpu]->size()) {
    return session_.target().value(*g_[vcpu], *info);
  }
  // System registers of ARM are not in `g`.
  const auto raw = SWAT_TRY(session_.read_register(session_.threads()[vcpu], info->number));
  std::uint64_t value = 0;
  std::memcpy(&value, raw.data(), std::min(raw.size(), sizeof(value)));
  return value;
}

Result<os::X86SystemTables> StoppedGuest::x86_tables(unsigned vcpu) {
  if (vcpu < tables_.size()) return tables_[vcpu];
  return fail(Errc::kUnsupported, "this QEMU does not tell the system registers");
}

Result<os::X86SystemTables> parse_info_registers(std::string_view text) {
  const auto idt = number_after(text, "IDT=");
  const auto gdt = number_after(text, "GDT=");
  const auto tr = task_register_base(text);
  if (!idt || !gdt || !tr) return fail(Errc::kProtocol, "no IDT, GDT and TR in info registers");
  os::X86SystemTables tables;
  tables.idt_base = Va{*idt};
  tables.gdt_base = Va{*gdt};
  tables.tr_base = Va{*tr};
  return tables;
}

}  // namespace swat::daemon
