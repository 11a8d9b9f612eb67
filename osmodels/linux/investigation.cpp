#include "osmodels/linux/investigation.hpp"

#include <array>
#include <cstdio>

#include "osmodels/linux/acceptance.hpp"
#include "osmodels/linux/cached_profile.hpp"
#include "osmodels/linux/inference.hpp"
#include "osmodels/linux/init_task.hpp"
#include "symbols/btf.hpp"
#include "symbols/kallsyms.hpp"
#include "symbols/ksymtab.hpp"
#include "symbols/vmcoreinfo.hpp"

namespace swat::os {
namespace {

std::string hexadecimal(std::uint64_t value) {
  std::array<char, 19> text;
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
  return text.data();
}

// "Linux version 6.1.0-56-amd64 (...": the third word.
std::string release_of(const std::string& banner) {
  constexpr std::string_view kPrefix = "Linux version ";
  return banner.substr(kPrefix.size(), banner.find(' ', kPrefix.size()) - kPrefix.size());
}

void find_symbols(const LinuxModelOptions& options, Findings& found) {
  if (!options.use_symbols) return;
  Result<symbols::SymbolTable> symbols = symbols::find_kallsyms(found.kernel.image());
  if (!symbols) {
    found.provenance.push_back("symbols: none, " + symbols.error().what);
    return;
  }
  found.symbols = std::move(*symbols);
  found.provenance.push_back("symbols: kallsyms, " + std::to_string(found.symbols.all().size()) +
                             " names");
  found.own_page_table =
      found.symbols.find_any({"init_top_pgt", "init_level4_pgt", "swapper_pg_dir"});
}

void find_release(Findings& found) {
  found.release = release_of(found.banner);
  found.key = profile_key(found.banner, {});
  const auto info = symbols::Vmcoreinfo::find(found.kernel.image());
  if (!info) return;
  found.key = profile_key(found.banner, info->text("BUILD-ID"));
  found.release = info->os_release();
  if (!found.own_page_table) found.own_page_table = info->symbol("swapper_pg_dir");
}

// The table that attaching began with is some process's, or one that is mapped only for a moment;
// the kernel's own is there for good. Where no symbol tells, init's is: init never exits.
void settle_root(PhysicalMemory& ram, Va init_page_table, Findings& found) {
  AddressSpace before(ram, *found.kernel.geometry, found.kernel.root);
  const Result<Translation> entry = before.translate(found.kernel.entry);
  for (const Va table : {found.own_page_table.value_or(Va{}), init_page_table}) {
    const Result<Translation> root = before.translate(table);
    if (!root || !entry) continue;
    AddressSpace after(ram, *found.kernel.geometry, root->at);
    const Result<Translation> same = after.translate(found.kernel.entry);
    const Result<Translation> data = after.translate(found.init_task);
    if (!same || !data || same->at != entry->at) continue;
    found.kernel.root = root->at;
    found.provenance.push_back(
        "kernel page table: " + hexadecimal(root->at.value) +
        (table == init_page_table ? ", that of init" : ", the kernel's own"));
    return;
  }
  found.provenance.push_back("kernel page table: " + hexadecimal(found.kernel.root.value) +
                             ", that of a CPU");
}

// kallsyms has data only with CONFIG_KALLSYMS_ALL; what modules may use is listed apart.
std::optional<Va> find_init_task_symbol(const LinuxModelOptions& options, const Findings& found) {
  if (const std::optional<Va> symbol = found.symbols.find("init_task")) return symbol;
  if (!options.use_symbols) return {};
  const auto exports = symbols::find_ksymtab(found.kernel.image());
  return exports ? exports->find("init_task") : std::nullopt;
}

void take_clock(GuestView& guest, AddressSpace& kernel, const Result<ClockLayout>& layout,
                Findings& found) {
  auto clock = layout ? GuestClock::at(
                            *layout, guest.ram(),
                            [&](Va at) -> Result<Pa> { return SWAT_TRY(kernel.translate(at)).at; })
                      : tl::unexpected(layout.error());
  if (clock) found.clock_layout = *layout;
  found.provenance.push_back("wall clock: " +
                             (clock ? "the kernel's timekeeper" : clock.error().what));
  if (clock) found.clock = *clock;
}

// A profile, and the task that it says is the first; not judged yet.
struct Candidate {
  LinuxProfile profile;
  Va init_task;
};

Result<Candidate> candidate_from_btf(AddressSpace& kernel, const Findings& found,
                                     const symbols::Btf& btf, std::optional<Va> init_task) {
  Candidate candidate{SWAT_TRY(profile_from_btf(btf, found.kernel.layout)), {}};
  if (!init_task || !is_init_task(kernel, candidate.profile, *init_task)) {
    init_task = find_init_task(kernel, candidate.profile, found.kernel.image());
  }
  if (!init_task) return fail(Errc::kNotFound, "no init_task in the image");
  candidate.init_task = *init_task;
  return candidate;
}

Result<Candidate> candidate_from_inference(GuestView& guest, PhysicalMemory& ram,
                                           AddressSpace& kernel, const Findings& found,
                                           std::optional<Va> init_task) {
  InferredProfile inferred = SWAT_TRY(
      infer_profile({ram, kernel, *found.kernel.user_geometry,
                     found.kernel.geometry == found.kernel.user_geometry, found.kernel.image(),
                     found.kernel.layout, found.kernel.entry, init_task}));
  // context.sigpage would be taken for it. Since 3.16 mappings have their own names.
  if (guest.architecture() == Architecture::kArm) inferred.profile.mm_vdso.reset();
  return Candidate{std::move(inferred.profile), inferred.init_task};
}

// Publishes the candidate if the guest agrees with it; else says in one line why it does not.
Result<> take(PhysicalMemory& ram, AddressSpace& kernel, Result<Candidate> candidate,
              Findings& found) {
  if (!candidate) return tl::unexpected(std::move(candidate).error());
  const AcceptanceInput input{ram,
                              kernel,
                              *found.kernel.user_geometry,
                              found.kernel.geometry == found.kernel.user_geometry,
                              found.kernel.entry,
                              candidate->init_task};
  const Acceptance acceptance = judge_profile(input, candidate->profile);
  if (!acceptance.accepts()) return fail(Errc::kNotFound, acceptance.to_string());
  found.profile = std::move(candidate->profile);
  found.init_task = candidate->init_task;
  found.acceptance = acceptance.to_string();
  found.agrees_fully = acceptance.count(Invariant::State::kBroken) == 0;
  return {};
}

// The profile of an earlier run, if there is one and the guest agrees with it.
bool take_cached(GuestView& guest, PhysicalMemory& ram, AddressSpace& kernel, ProfileStore& store,
                 Findings& found) {
  const auto text = store.load(found.key);
  if (!text) return false;
  const Va base = found.kernel.base;
  Result<> taken;
  auto cached = parse_cached_profile(*text, found.banner, found.kernel.layout);
  if (cached) {
    taken =
        take(ram, kernel, Candidate{std::move(cached->profile), base + cached->init_task}, found);
  } else {
    taken = tl::unexpected(cached.error());
  }
  if (!taken || !found.agrees_fully) {
    store.reject(found.key, taken ? found.acceptance : taken.error().what);
    return false;
  }
  found.from_cache = true;
  if (cached->clock) {
    cached->clock->timekeeper = base + cached->clock->timekeeper.value;
    take_clock(guest, kernel, *cached->clock, found);
  }
  return true;
}

void keep(ProfileStore& store, const Findings& found) {
  const VaRange image = found.kernel.image().range();
  if (found.from_cache || !found.agrees_fully || !image.contains(found.init_task)) return;
  CachedProfile cached{found.profile, found.init_task - image.start, found.clock_layout};
  if (cached.clock && !image.contains(cached.clock->timekeeper)) cached.clock.reset();
  if (cached.clock) cached.clock->timekeeper = Va{cached.clock->timekeeper - image.start};
  store.save(found.key, to_text(cached, found.banner));
}

Result<> find_profile(GuestView& guest, const LinuxModelOptions& options, Findings& found) {
  PhysicalMemory& ram = guest.ram();
  AddressSpace kernel(ram, *found.kernel.geometry, found.kernel.root);
  if (options.store != nullptr && take_cached(guest, ram, kernel, *options.store, found)) return {};
  const std::optional<Va> init_task = find_init_task_symbol(options, found);
  if (options.use_btf) {
    const Result<symbols::Btf> btf = symbols::Btf::find(found.kernel.image());
    const Result<> taken =
        btf ? take(ram, kernel, candidate_from_btf(kernel, found, *btf, init_task), found)
            : tl::unexpected(btf.error());
    if (taken) {
      take_clock(guest, kernel, GuestClock::locate(found.symbols, *btf), found);
      return {};
    }
    found.provenance.push_back("BTF: " + taken.error().what);
  }
  Result<> taken =
      take(ram, kernel, candidate_from_inference(guest, ram, kernel, found, init_task), found);
  if (taken) return {};
  return fail(
      taken.error().code == Errc::kDisconnected ? Errc::kDisconnected : Errc::kUnsupported,
      "a Linux, but where it keeps its structures is not known for certain: " + taken.error().what);
}

// The page table of pid 1, if there is one yet.
Va init_page_table(GuestView& guest, const Findings& found) {
  AddressSpace kernel(guest.ram(), *found.kernel.geometry, found.kernel.root);
  const LinuxProfile& profile = found.profile;
  const auto first = read_word(kernel, found.init_task + *profile.task_tasks, profile.layout);
  if (!first) return {};
  const Va init = Va{*first} - (profile.task_list_of_tasks ? 0 : *profile.task_tasks);
  const auto mm = read_word(kernel, init + *profile.task_mm, profile.layout);
  if (!mm || !profile.layout.is_pointer(*mm)) return {};
  return Va{read_word(kernel, Va{*mm} + *profile.mm_pgd, profile.layout).value_or(0)};
}

}  // namespace

Result<Findings> investigate_kernel(GuestView& guest, const LinuxModelOptions& options) {
  Findings found;
  found.kernel = SWAT_TRY(locate_kernel(guest));
  found.banner = SWAT_TRY(symbols::find_linux_banner(found.kernel.image()));
  found.provenance.push_back(found.banner);
  found.provenance.push_back("kernel image: " + hexadecimal(found.kernel.base.value) + ", " +
                             std::to_string(found.kernel.bytes.size() >> 10) + " KiB");
  find_symbols(options, found);
  find_release(found);
  return found;
}

Result<Findings> investigate(GuestView& guest, const LinuxModelOptions& options) {
  Findings found = SWAT_TRY(investigate_kernel(guest, options));
  SWAT_CHECK(find_profile(guest, options, found));
  found.provenance.push_back("structure offsets: " + found.profile.source +
                             (found.from_cache ? ", kept from an earlier run, " : ", ") +
                             found.acceptance);
  if (options.store != nullptr) keep(*options.store, found);
  settle_root(guest.ram(), init_page_table(guest, found), found);
  return found;
}

}  // namespace swat::os
