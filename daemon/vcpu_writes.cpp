#include "daemon/vcpu_writes.hpp"

namespace swat::daemon {

Result<std::uint64_t> VcpuWrites::reg(std::string_view name) {
  const auto written = writes_.find(name);
  if (written == writes_.end()) return guest_.reg(vcpu_, name);
  std::uint64_t value = 0;
  std::memcpy(&value, written->second.value.data(), sizeof(value));
  return value;
}

Result<> VcpuWrites::set_reg(std::string_view name, std::uint64_t value) {
  const gdbproto::RegisterInfo* info = guest_.find_register(name);
  if (info == nullptr || info->size_bytes > sizeof(value)) {
    return fail(Errc::kUnsupported, "cannot write register " + std::string(name));
  }
  Write& write = writes_[std::string(name)];
  write.info = info;
  std::memcpy(write.value.data(), &value, sizeof(value));
  return {};
}

Result<> VcpuWrites::store(Va at, std::uint64_t value, unsigned size_bytes) {
  std::array<std::byte, 8> bytes;
  std::memcpy(bytes.data(), &value, sizeof(value));
  return session_.write(session_.threads()[vcpu_], at,
                        std::span(bytes).first(std::min<std::size_t>(size_bytes, bytes.size())));
}

Result<> VcpuWrites::move_to(Va next) {
  SWAT_CHECK(set_reg(guest_.machine().pc, next.value));
  for (const auto& [name, write] : writes_) {
    SWAT_CHECK(session_.write_register(session_.threads()[vcpu_], write.info->number,
                                       std::span(write.value).first(write.info->size_bytes)));
  }
  return {};
}

Result<> VcpuWrites::resume_at(Va next) {
  const bool silently = session_.runs_silently();
  if (silently) SWAT_CHECK(set_reg(guest_.machine().pc, next.value));
  std::vector<gdbproto::RegisterWrite> writes;
  writes.reserve(writes_.size());
  for (const auto& [name, write] : writes_) {
    writes.push_back({write.info->number, std::span(write.value).first(write.info->size_bytes)});
  }
  const auto thread = session_.threads()[vcpu_];
  return silently ? session_.write_registers_and_resume(thread, writes)
                  : session_.write_registers_and_resume_at(thread, writes, next);
}

}  // namespace swat::daemon
