// Cuts seeds for the fuzz targets out of a guest's memory, as tests/osmodels/dump_guest saved it:
//
//   cut_memory DUMP CORPUS NAME      (for example fixtures/guests/6.1 tests/fuzz/corpus debian-6.1)
//
// Each is what a reader read of the dump when it did there what its target does. The list of tasks
// is shortened in what comes out: init, kthreadd, and the last few.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <stdexcept>

#include "linux_input.hpp"
#include "osmodels/linux/kernel_locator.hpp"
#include "osmodels/linux/linux_model.hpp"
#include "osmodels/linux/maple_tree.hpp"
#include "symbols/elf_image.hpp"
#include "tests/osmodels/dump_view.hpp"

namespace swat::fuzz {
namespace {

template <class T>
T must(Result<T> result, std::string_view what) {
  if (!result) throw std::runtime_error(std::string(what) + ": " + result.error().what);
  return *std::move(result);
}

// What has been read, and how it is written for InputRam.
class Record {
 public:
  void add(std::uint64_t at, std::span<const std::byte> bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      auto& word = words_[(at + i) / InputRam::kWordBytes];
      word[(at + i) % InputRam::kWordBytes] = bytes[i];
    }
  }
  [[nodiscard]] std::string text() const {
    std::string out;
    for (auto word = words_.begin(); word != words_.end();) {
      auto end = word;
      std::string run;
      for (std::uint64_t number = word->first; end != words_.end() && end->first == number &&
                                               run.size() < kMostInRun && !is_zero(end->second);
           ++end, ++number) {
        run.append(reinterpret_cast<const char*>(end->second.data()), end->second.size());
      }
      if (run.empty()) {
        ++word;
        continue;
      }
      append(out, static_cast<std::uint32_t>(word->first));
      append(out, static_cast<std::uint8_t>(run.size() / InputRam::kWordBytes));
      out += run;
      word = end;
    }
    return out;
  }
  template <class T>
  static void append(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }

 private:
  using Word = std::array<std::byte, InputRam::kWordBytes>;
  static constexpr std::size_t kMostInRun = 255 * InputRam::kWordBytes;
  static bool is_zero(const Word& word) { return word == Word{}; }

  std::map<std::uint64_t, Word> words_;
};

// RAM of a dump, some words of it replaced.
class RecordingRam final : public PhysicalMemory {
 public:
  explicit RecordingRam(PhysicalMemory& ram) : ram_(ram) {}

  void replace(Pa at, std::uint64_t word) { replaced_[at.value] = word; }
  void start_again() { record_ = {}; }
  [[nodiscard]] std::string text() const { return record_.text(); }

  [[nodiscard]] const std::vector<PaRange>& ranges() const override { return ram_.ranges(); }
  [[nodiscard]] Result<> read(Pa at, std::span<std::byte> into) override {
    SWAT_CHECK(ram_.read(at, into));
    for (const auto& [where, word] : replaced_) {
      const auto bytes = std::as_bytes(std::span(&word, 1));
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (where + i >= at.value && where + i - at.value < into.size()) {
          into[where + i - at.value] = bytes[i];
        }
      }
    }
    record_.add(at.value, into);
    return {};
  }

 private:
  PhysicalMemory& ram_;
  std::map<std::uint64_t, std::uint64_t> replaced_;
  Record record_;
};

// Addresses from `base` on, for InputMemory.
class RecordingMemory final : public VirtualMemory {
 public:
  RecordingMemory(VirtualMemory& memory, Va base) : memory_(memory), base_(base) {}
  [[nodiscard]] std::string text() const { return record_.text(); }

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    SWAT_CHECK(memory_.read(at, into));
    if (at - base_ < InputRam::kBytes) record_.add(at - base_, into);
    return {};
  }

 private:
  VirtualMemory& memory_;
  Va base_;
  Record record_;
};

class Cutter {
 public:
  Cutter(const std::filesystem::path& dump, std::filesystem::path corpus, std::string name)
      : view_(dump),
        corpus_(std::move(corpus)),
        name_(std::move(name)),
        located_(must(os::locate_kernel(view_), "kernel")),
        kernel_(view_.ram(), *located_.geometry, located_.root),
        description_(must(os::describe_linux(view_), "description")),
        attached_(must(os::attach_linux(view_), "model")),
        processes_(must(attached_.model->processes(), "processes")) {}

  void cut() {
    cut_structures();
    for (const os::Process& process : processes_) {
      if (process.name != "busybox") continue;  // the dynamic one
      cut_page_tables(process);
      cut_images(process);
      cut_maple_tree(process);
    }
  }

 private:
  void write(const std::string& target, const std::string& suffix, const std::string& bytes) {
    const auto folder = corpus_ / target;
    std::filesystem::create_directories(folder);
    const auto file = folder / (name_ + suffix);
    std::ofstream(file, std::ios::binary) << bytes;
    std::cout << file.string() << ": " << bytes.size() << " bytes\n";
  }

  // x86_64 alone, as dump_guest.
  [[nodiscard]] static std::uint8_t geometry() { return 0; }

  // {next, previous} of the list of tasks.
  void link(RecordingRam& ram, Va from, Va to) {
    ram.replace(must(kernel_.translate(from), "link").at, to.value);
    ram.replace(must(kernel_.translate(to + 8), "link").at, from.value);
  }

  void cut_structures() {
    constexpr std::size_t kLast = 6;
    const os::LinuxProfile& profile = description_.profile;
    LinuxInput guest;
    guest.geometry = geometry();
    guest.flags = LinuxInput::kMapsKernel;
    guest.root = located_.root;
    guest.init_task = description_.init_task;
    guest.entry = located_.entry;
    guest.profile = profile;
    RecordingRam ram(view_.ram());
    const auto node = [&](Va task) { return task + *profile.task_tasks; };
    link(ram, node(processes_.at(1).object), node(processes_.at(processes_.size() - kLast).object));
    link(ram, node(processes_.back().object), node(guest.init_task));
    walk_structures(ram, guest);
    write("fuzz_linux_structures", "", header(guest) + ram.text());
    ram.start_again();
    judge(ram, guest, profile);
    write("fuzz_linux_profile", "-judged", header(guest) + ram.text());
    ram.start_again();
    const auto inferred = infer(ram, guest);
    std::cout << "inferred: " << (inferred ? "yes" : inferred.error().what) << '\n';
    guest.profile = {};
    guest.profile.layout = profile.layout;
    write("fuzz_linux_profile", "-inferred", header(guest) + ram.text());
  }

  [[nodiscard]] static std::string header(const LinuxInput& guest) {
    std::string out;
    Record::append(out, guest.geometry);
    Record::append(out, guest.flags);
    for (const std::uint64_t word : {guest.root.value, guest.init_task.value, guest.entry.value,
                                     guest.profile.layout.lowest_address}) {
      Record::append(out, word);
    }
    for (const os::ProfileField& field : os::profile_fields()) {
      const std::uint32_t offset = (guest.profile.*field.member).value_or(LinuxInput::kNoMember);
      Record::append(out, static_cast<std::uint16_t>(offset));
    }
    return out;
  }

  void cut_page_tables(const os::Process& process) {
    constexpr std::uint64_t kSpan = 1 << 23;
    constexpr int kMostLeaves = 40;
    const auto mappings = must(attached_.model->mappings(process), "mappings");
    for (const os::Mapping& mapping : {mappings.front(), mappings.back()}) {
      RecordingRam ram(view_.ram());
      os::AddressSpace space(ram, *located_.user_geometry, process.page_table.value_or(Pa{}));
      int leaves = 0;
      const auto seen = [&](Va, const os::Translation&) { return ++leaves < kMostLeaves; };
      const Va at = mapping.range.start;
      must(space.translate(at), "a mapping's first page");
      if (!space.for_each_leaf({at, at + kSpan}, seen)) throw std::runtime_error("leaves");
      std::string out;
      Record::append(out, geometry());
      Record::append(out, space.root().value);
      Record::append(out, at.value);
      write("fuzz_page_table",
            mapping.range.start == mappings.front().range.start ? "-low" : "-high",
            out + ram.text());
    }
  }

  void cut_maple_tree(const os::Process& process) {
    const os::LinuxProfile& profile = description_.profile;
    if (!profile.mm_tree_root) return;
    const auto root = must(
        read_as<std::uint64_t>(kernel_, process.memory_object + *profile.mm_tree_root), "root");
    constexpr std::uint64_t kAlignment = 1 << 30;  // of the direct map [arch/x86/mm/kaslr.c]
    const Va base = Va{root}.aligned_down(kAlignment);
    RecordingMemory memory(kernel_, base);
    must(os::read_maple_tree(memory, root, 500, profile.layout), "maple tree");
    std::string out(1, '\0');
    Record::append(out, base.value);
    Record::append(out, root);
    write("fuzz_maple_tree", "", out + memory.text());
  }

  void cut_images(const os::Process& process) {
    constexpr std::size_t kLargest = 6 << 10;  // of a seed
    const auto modules = os::modules_of(must(attached_.model->mappings(process), "mappings"));
    const auto user = attached_.model->memory(process);
    for (const os::Module& module : modules) {
      RecordingMemory memory(*user, module.base);
      const auto image = symbols::ElfImage::open(memory, module.base);
      if (!image) continue;
      static_cast<void>(image->exports(memory));
      static_cast<void>(image->import_slots(memory));
      static_cast<void>(image->soname(memory));
      static_cast<void>(image->build_id(memory));
      std::string out;
      Record::append(out, module.base.value);
      out += memory.text();
      const std::string file = std::filesystem::path(module.path).filename();
      if (out.size() <= kLargest) write("fuzz_elf_image", "-" + file, out);
    }
  }

  test::DumpView view_;
  std::filesystem::path corpus_;
  std::string name_;
  os::LocatedKernel located_;
  os::AddressSpace kernel_;
  os::KernelDescription description_;
  os::AttachedLinux attached_;
  std::vector<os::Process> processes_;
};

}  // namespace
}  // namespace swat::fuzz

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: cut_memory DUMP CORPUS NAME\n";
    return 2;
  }
  try {
    swat::fuzz::Cutter(argv[1], argv[2], argv[3]).cut();
  } catch (const std::exception& error) {
    std::cerr << "cut_memory: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
