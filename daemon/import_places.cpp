#include "daemon/import_places.hpp"

#include "daemon/call_resolver.hpp"
#include "daemon/user_place.hpp"
#include "daemon/vcpu_writes.hpp"

namespace swat::daemon {

bool ImportPlaces::may_have_called(unsigned vcpu) {
  if (!are_watched_) return false;
  StoppedGuest& guest = vm_.guest();
  Va callee = guest.pc(vcpu);
  if (guest.in_kernel(vcpu)) {
    if (callee != page_fault_entry_) return false;
    callee = Va{guest.reg_or_zero(vcpu, guest.machine().fault_address)};
  }
  const auto thread = model_.current(vcpu);
  ProcessView* view = thread ? processes_.find(thread->process) : nullptr;
  return view != nullptr && is_import_target(*view, *model_.memory(thread->process), callee);
}

bool ImportPlaces::may_have_loaded(unsigned vcpu) {
  if (!are_watched_) return false;
  const auto place = user_place(vm_.guest(), model_, vcpu);
  if (!place) return false;
  const auto thread = model_.current(vcpu);
  const ProcessView* const view = thread ? processes_.find(thread->process) : nullptr;
  const LoadedModule* const module = view != nullptr ? view->module_at(place->pc) : nullptr;
  if (module == nullptr) return false;
  if (module->module.is_dynamic_linker()) return true;
  const auto loaded = address_of_load(*model_.memory(thread->process), place->pc);
  return loaded && traps_.watches_read(*loaded, vm_.guest().machine().word_bytes);
}

std::optional<os::SlotRead> ImportPlaces::read_ahead(unsigned vcpu, const os::Thread& thread) {
  if (!are_watched_ || vm_.guest().in_kernel(vcpu)) return {};
  if (thread.process.memory_object.is_null()) return {};
  VcpuWrites registers(vm_.session(), vm_.guest(), vcpu);
  const auto memory = model_.memory(thread.process);
  const Va pc = vm_.guest().pc(vcpu);
  const auto read = os::read_of_slot(vm_.guest().architecture(), *memory, registers, pc);
  if (!read || !traps_.watches_read(read->at, read->size_bytes)) return {};
  return *read;
}

std::optional<os::SlotRead> ImportPlaces::read_ahead(unsigned vcpu) {
  if (!are_watched_ || vm_.guest().in_kernel(vcpu)) return {};
  const auto thread = model_.current(vcpu);
  return thread ? read_ahead(vcpu, *thread) : std::nullopt;
}

}  // namespace swat::daemon
