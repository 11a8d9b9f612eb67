#include "osmodels/linux/dispatch_aarch64.hpp"

#include <algorithm>

#include "osmodels/aarch64/code.hpp"
#include "osmodels/architecture.hpp"
#include "osmodels/linux/blob.hpp"
#include "osmodels/linux/dispatch_aarch64_assembly.hpp"
#include "osmodels/linux/syscalls.hpp"

namespace swat::os {
namespace {

using aarch64::kInstructionBytes;

// The ways of 64-bit callers and of 32-bit ones: the same code, but for its ends.
struct Way {
  SyscallEntry::Kind kind;
  std::string_view table;
  // Newest first; the table's address is in their code.
  std::array<std::string_view, 2> entries;
};
constexpr Way kWays[] = {
    {SyscallEntry::Kind::kSvc, "sys_call_table", {"do_el0_svc", "el0_svc_handler"}},
    {SyscallEntry::Kind::kCompatSvc,
     "compat_sys_call_table",
     {"do_el0_svc_compat", "el0_svc_compat_handler"}},
};
// Where it is read: one may be inlined into another, and into the entries.
constexpr std::array<std::string_view, 2> kCommon = {"el0_svc_common", "invoke_syscall"};
// Handlers are given struct pt_regs since 4.19. [commit 4378a7d4be30]
constexpr std::string_view kTakesPtRegs = "__arm64_sys_read";
constexpr std::uint64_t kMostFunctionBytes = 2048;
// So many words of a table are handlers that nothing else looks like it.
constexpr std::size_t kSurelyHandlers = 200;

// Compilers add suffixes (".constprop.0").
bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::any_of(names, [&](std::string_view known) {
    return name.starts_with(known) && (name.size() == known.size() || name[known.size()] == '.');
  });
}

struct Code {
  Va start;
  std::vector<std::uint32_t> words;

  [[nodiscard]] Va at(std::size_t i) const { return start + i * kInstructionBytes; }
};

class Aarch64Dispatch {
 public:
  Aarch64Dispatch(const Aarch64Kernel& kernel, const Way& way)
      : kernel_(kernel.memory), symbols_(kernel.symbols), way_(way), layout_(kernel.layout) {
    found_.saves_callers = symbols_.find(kTakesPtRegs).has_value();
    found_.compat = way.kind == SyscallEntry::Kind::kCompatSvc;
    const auto* abi = find_abi(way.kind);
    found_.handlers.resize(abi->names.size());
  }

  Result<SyscallDispatch> find() {
    std::vector<Code> codes = read_codes(way_.entries);
    found_.table = symbols_.find(way_.table);
    found_.found_by = found_.table ? way_.table : "the table in the code of the entry";
    for (const Code& code : codes) find_table(code);
    std::ranges::move(read_codes(kCommon), std::back_inserter(codes));
    if (!found_.table) return fail(Errc::kNotFound, "no table of handlers in the code of svc");
    read_table();
    for (const Code& code : codes) find_loads(code);
    if (found_.loads.empty()) return fail(Errc::kNotFound, "no code that reads the syscall table");
    return std::move(found_);
  }

 private:
  std::vector<Code> read_codes(std::span<const std::string_view> names) {
    std::vector<Code> codes;
    for (const symbols::Symbol& symbol : symbols_.all()) {
      if (!is_one_of(names, symbol.name)) continue;
      const Va most = symbol.address + kMostFunctionBytes;
      const Va end = std::min(symbols_.next_start(symbol.address).value_or(most), most);
      Code code{symbol.address, {}};
      code.words.resize((end - symbol.address) / kInstructionBytes);
      const auto raw = std::as_writable_bytes(std::span(code.words));
      if (kernel_.read(symbol.address, raw)) codes.push_back(std::move(code));
    }
    return codes;
  }

  // adrp x, table; add x, x, :lo12:table; others may stand between.
  void find_table(const Code& code) {
    constexpr std::size_t kWithin = 4;
    for (std::size_t i = 0; i < code.words.size() && !found_.table; ++i) {
      const auto page = aarch64::adrp_of(code.words[i], code.at(i));
      const std::size_t end = std::min(i + 1 + kWithin, code.words.size());
      for (std::size_t j = i + 1; page && j < end; ++j) {
        const auto add = aarch64::add_of(code.words[j]);
        if (!add || add->from != page->to || add->to != page->to) continue;
        if (holds_handlers(page->page + add->amount)) found_.table = page->page + add->amount;
        break;
      }
    }
  }

  bool holds_handlers(Va table) {
    const Blob blob = read_sparse(kernel_, table, kSurelyHandlers * 8, layout_);
    std::size_t known = 0;
    for (std::size_t i = 0; i < kSurelyHandlers; ++i) {
      known += symbols_.is_start(Va{blob.word(i * 8)}) ? 1 : 0;
    }
    return known == kSurelyHandlers;
  }

  // Of a kernel older than our list of names the table is shorter than that.
  void read_table() {
    const std::size_t count = found_.handlers.size();
    const Blob blob = read_sparse(kernel_, *found_.table, count * 8, layout_);
    for (std::size_t i = 0; i < count; ++i) {
      const Va handler{blob.word(i * 8)};
      if (!symbols_.is_start(handler)) break;
      found_.handlers[i] = handler;
    }
  }

  void find_loads(const Code& code) {
    for (std::size_t i = 0; i < code.words.size(); ++i) {
      const auto load = aarch64::load_of(code.words[i]);
      if (!load || !load->index || load->index_shift != 3 || load->count != 1) continue;
      if (const auto callers = callers_at_call(code, i, load->to[0])) {
        SyscallDispatch::Load known;
        known.next = code.at(i + 1);
        known.reg = aarch64::register_name(load->to[0]);
        known.at = code.at(i);
        known.number = aarch64::register_name(*load->index);
        known.table = aarch64::register_name(load->base);
        if (found_.saves_callers) known.callers = *callers;
        found_.loads.push_back(known);
      }
    }
  }

  // What holds, at the load, that which the handler is given in x0; nullopt: what is loaded is not
  // called.
  static std::optional<std::string_view> callers_at_call(const Code& code, std::size_t load,
                                                         unsigned loaded) {
    constexpr std::size_t kFarthest = 8;
    unsigned callers = 0;
    for (std::size_t i = load + 1; i < std::min(load + kFarthest, code.words.size()); ++i) {
      const auto branch = aarch64::register_branch_of(code.words[i]);
      if (branch && branch->links && branch->through == loaded) {
        return aarch64::register_name(callers);
      }
      if (aarch64::is_branch(code.words[i])) return {};
      const auto move = aarch64::move_of(code.words[i]);
      if (move && move->to == 0) callers = move->from;
    }
    return {};
  }

  VirtualMemory& kernel_;
  const symbols::SymbolTable& symbols_;
  const Way& way_;
  const KernelLayout& layout_;
  SyscallDispatch found_;
};

const std::string_view* name_of_entry(const symbols::SymbolTable& symbols, const Way& way) {
  return std::ranges::find_if(
      way.entries, [&](std::string_view known) { return symbols.find(known).has_value(); });
}

Result<AssemblyDispatch> assembly_of(const Aarch64Kernel& kernel) {
  if (!kernel.vectors) return fail(Errc::kNotFound, "the vectors are not known");
  return find_assembly_dispatch(kernel.memory, *kernel.vectors, kernel.layout);
}

}  // namespace

Aarch64Kernel aarch64_kernel(GuestView& guest, VirtualMemory& memory,
                             const symbols::SymbolTable& symbols, const KernelLayout& layout) {
  Aarch64Kernel kernel{memory, symbols, layout, symbols.find("vectors")};
  // In user mode, with page-table isolation, it is the trampoline's.
  const auto base = system_register(guest, 0, "VBAR");
  if (!kernel.vectors && base) kernel.vectors = Va{*base};
  return kernel;
}

Result<std::vector<SyscallEntry>> find_aarch64_entries(const Aarch64Kernel& kernel) {
  std::vector<SyscallEntry> entries;
  for (const Way& way : kWays) {
    const auto* const name = name_of_entry(kernel.symbols, way);
    if (name == way.entries.end()) continue;
    entries.push_back(
        {way.kind, *kernel.symbols.find(*name), "kernel symbol " + std::string(*name)});
  }
  if (!entries.empty()) return entries;
  if (const auto found = assembly_of(kernel)) {
    return std::vector<SyscallEntry>{
        {SyscallEntry::Kind::kAssemblySvc, found->entry, "code behind the vectors"}};
  }
  return fail(Errc::kNotFound,
              "no kernel symbol of the entry of svc is known, and no code behind the vectors");
}

Result<SyscallDispatch> find_aarch64_dispatch(const Aarch64Kernel& kernel, bool compat) {
  const Way& way = kWays[compat ? 1 : 0];
  if (name_of_entry(kernel.symbols, way) != way.entries.end()) {
    return Aarch64Dispatch(kernel, way).find();
  }
  if (compat) return fail(Errc::kNotFound, "no kernel symbol of the entry of 32-bit callers");
  return SWAT_TRY(assembly_of(kernel)).dispatch;
}

Result<DispatchedSyscall> read_aarch64_dispatched(GuestView& guest, unsigned vcpu,
                                                  VirtualMemory& kernel,
                                                  const SyscallDispatch& dispatch) {
  const Va pc{SWAT_TRY(guest.reg(vcpu, machine_of(guest.architecture()).pc))};
  const auto load = std::ranges::find(dispatch.loads, pc, &SyscallDispatch::Load::at);
  if (load == dispatch.loads.end() ||
      Va{SWAT_TRY(guest.reg(vcpu, load->table))} != *dispatch.table) {
    return fail(Errc::kNotFound, "no syscall is being dispatched", pc.value);
  }
  DispatchedSyscall call{
      kWays[dispatch.compat ? 1 : 0].kind, SWAT_TRY(guest.reg(vcpu, load->number)), {}};
  const auto* abi = find_abi(call.entry);
  if (load->callers.empty()) {
    for (unsigned i = 0; i < call.arguments.size(); ++i) {
      const auto value = guest.reg(vcpu, aarch64::register_name(i));
      if (value) call.arguments[i] = *value;
    }
    return call;
  }
  const Va callers{SWAT_TRY(guest.reg(vcpu, load->callers))};
  std::array<std::uint64_t, 6> saved{};
  static_assert(saved.size() == std::tuple_size_v<decltype(call.arguments)>);
  if (kernel.read(callers + abi->args[0].offset, std::as_writable_bytes(std::span(saved)))) {
    std::ranges::copy(saved, call.arguments.begin());
  }
  return call;
}

Result<ResultWord> aarch64_result_word(GuestView& guest, unsigned vcpu,
                                       std::span<const SyscallDispatch* const> dispatches,
                                       const std::vector<SyscallEntry>& entries) {
  constexpr std::uint64_t kPc = 256;
  const Machine& machine = machine_of(guest.architecture());
  const Va pc{SWAT_TRY(guest.reg(vcpu, machine.pc))};
  std::string_view frame_in;
  for (const SyscallDispatch* dispatch : dispatches) {
    if (dispatch == nullptr) continue;
    const auto load = std::ranges::find(dispatch->loads, pc, &SyscallDispatch::Load::at);
    // Code that has not called any C yet has its stack pointer there.
    if (load != dispatch->loads.end()) frame_in = load->callers.empty() ? "sp" : load->callers;
  }
  const auto entry = std::ranges::find(entries, pc, &SyscallEntry::address);
  if (entry != entries.end()) frame_in = find_abi(entry->kind)->number;
  if (frame_in.empty()) return fail(Errc::kNotFound, "at no syscall", pc.value);
  const Va frame{SWAT_TRY(guest.reg(vcpu, frame_in))};
  return ResultWord{frame + kPc, frame, frame, frame + kPc};
}

}  // namespace swat::os
