// This process's own images, as ld.so has mapped and relocated them: ElfImage and dlsym agree.
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <link.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "symbols/elf_image.hpp"

namespace swat::symbols {
namespace {

class OwnMemory final : public VirtualMemory {
 public:
  OwnMemory() : fd_(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC)) {}
  OwnMemory(const OwnMemory&) = delete;
  OwnMemory& operator=(const OwnMemory&) = delete;
  ~OwnMemory() override { ::close(fd_); }

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    while (!into.empty()) {
      const ssize_t n = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(at.value));
      if (n <= 0) return fail(Errc::kFault, "not readable", at.value);
      into = into.subspan(static_cast<std::size_t>(n));
      at = at + static_cast<std::uint64_t>(n);
    }
    return {};
  }

 private:
  int fd_;
};

struct Module {
  std::string path;  // empty: the program
  Va bias;
  Va base;  // where the file's offset 0 is
};

std::vector<Module> modules() {
  std::vector<Module> out;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* into) {
        Module module{info->dlpi_name, Va{info->dlpi_addr}, Va{info->dlpi_addr}};
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& segment = info->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD || segment.p_offset != 0) continue;
          module.base = module.bias + segment.p_vaddr;
        }
        static_cast<std::vector<Module>*>(into)->push_back(module);
        return 0;
      },
      &out);
  return out;
}

struct CloseLibrary {
  void operator()(void* handle) const { ::dlclose(handle); }
};
using Library = std::unique_ptr<void, CloseLibrary>;

Library loaded(const std::string& path) {
  return Library(::dlopen(path.empty() ? nullptr : path.c_str(), RTLD_LAZY | RTLD_NOLOAD));
}

// How many exports dlsym was asked for.
std::size_t expect_dlsym_agrees(const Library& library, const std::vector<ElfExport>& exports) {
  std::size_t asked = 0;
  for (const ElfExport& e : exports) {
    if (e.is_ifunc) continue;  // dlsym calls the resolver
    const void* theirs = e.version.empty()
                             ? ::dlsym(library.get(), e.name.c_str())
                             : ::dlvsym(library.get(), e.name.c_str(), e.version.c_str());
    EXPECT_EQ(e.address.value, reinterpret_cast<std::uintptr_t>(theirs))
        << e.name << '@' << e.version;
    ++asked;
  }
  return asked;
}

TEST(ElfProcess, OpensEveryModuleAtTheBiasThatLdSoGivesIt) {
  OwnMemory memory;
  for (const Module& module : modules()) {
    const auto image = ElfImage::open(memory, module.base);
    ASSERT_TRUE(image) << module.path << ' ' << image.error().what;
    EXPECT_EQ(image->load_bias(), module.bias.value) << module.path;
    EXPECT_TRUE(image->has_dynamic()) << module.path;
    EXPECT_TRUE(image->exports(memory)) << module.path;
    EXPECT_TRUE(image->import_slots(memory)) << module.path;
  }
}

// Of /proc/self/maps: start of a mapping -> its line.
std::map<std::uint64_t, std::string> own_mappings() {
  std::map<std::uint64_t, std::string> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) found[std::stoull(line, nullptr, 16)] = line;
  return found;
}

TEST(ElfProcess, TheKernelHasMappedEveryLoadWhereItIsSaidToBe) {
  OwnMemory memory;
  const auto mappings = own_mappings();
  std::size_t compared = 0;
  for (const Module& module : modules()) {
    if (!module.path.starts_with('/')) continue;  // the program, which maps may split; the vDSO
    const auto elf = ElfImage::open(memory, module.base);
    ASSERT_TRUE(elf) << module.path;
    for (const ElfLayout::Load& load : elf->layout().loads) {
      const auto line = mappings.find(load.pages().start.value);
      ASSERT_NE(line, mappings.end()) << module.path;
      const std::string rest = line->second.substr(line->second.find(' ') + 1);
      EXPECT_EQ(rest[0] == 'r', load.readable) << line->second;
      EXPECT_EQ(rest[2] == 'x', load.executable) << line->second;
      EXPECT_EQ(std::stoull(rest.substr(5), nullptr, 16), load.file_offset_of_pages())
          << line->second;
      ++compared;
    }
  }
  EXPECT_GT(compared, 3u);
}

TEST(ElfProcess, TheInterpreterIsTheLoaderOfThisProgram) {
  OwnMemory memory;
  const auto all = modules();
  const auto program = ElfImage::open(memory, all.front().base);
  ASSERT_TRUE(program);
  const auto path = program->interpreter(memory);
  ASSERT_TRUE(path);
  const auto is_it = [&](const Module& module) { return module.path == *path; };
  EXPECT_TRUE(std::any_of(all.begin(), all.end(), is_it)) << *path;
}

TEST(ElfProcess, EveryFunctionOfLibcIsWhereDlvsymFindsIt) {
  OwnMemory memory;
  for (const Module& module : modules()) {
    if (module.path.find("/libc.so.6") == std::string::npos) continue;
    const auto image = ElfImage::open(memory, module.base);
    ASSERT_TRUE(image);
    const auto exports = image->exports(memory);
    ASSERT_TRUE(exports) << exports.error().what;
    const std::size_t asked = expect_dlsym_agrees(loaded(module.path), *exports);
    EXPECT_GT(asked, 2000u);
    EXPECT_EQ(image->soname(memory), "libc.so.6");
    std::printf("libc.so.6: %zu of %zu exports asked of dlvsym\n", asked, exports->size());
    return;
  }
  GTEST_SKIP() << "this process has no libc.so.6";
}

TEST(ElfProcess, TheVdsoExportsWhatDlvsymFindsInIt) {
  const Va base{::getauxval(AT_SYSINFO_EHDR)};
  if (base.is_null()) GTEST_SKIP() << "this kernel has no vDSO";
  OwnMemory memory;
  const auto image = ElfImage::open(memory, base);
  ASSERT_TRUE(image) << image.error().what;
  const auto exports = image->exports(memory);
  ASSERT_TRUE(exports) << exports.error().what;
  EXPECT_FALSE(exports->empty());
  const auto name = image->soname(memory);
  ASSERT_TRUE(name) << name.error().what;
  const Library library = loaded(*name);
  if (!library) GTEST_SKIP() << "ld.so does not know the vDSO by " << *name;
  EXPECT_EQ(expect_dlsym_agrees(library, *exports), exports->size());
}

TEST(ElfProcess, EveryFunctionOfTheLoaderIsWhereDlvsymFindsIt) {
  const Va base{::getauxval(AT_BASE)};
  OwnMemory memory;
  for (const Module& module : modules()) {
    if (module.base != base) continue;
    const auto image = ElfImage::open(memory, base);
    ASSERT_TRUE(image);
    auto exports = image->exports(memory);
    ASSERT_TRUE(exports);
    // libc defines some of the same names, and comes first.
    std::erase_if(*exports, [&](const ElfExport& e) {
      const void* first = ::dlvsym(RTLD_DEFAULT, e.name.c_str(), e.version.c_str());
      Dl_info owner{};
      return first != nullptr && ::dladdr(first, &owner) != 0 &&
             reinterpret_cast<std::uintptr_t>(owner.dli_fbase) != base.value;
    });
    EXPECT_GT(exports->size(), 10u);
    // ld.so's own handle has no search list; the program's leads to it.
    EXPECT_EQ(expect_dlsym_agrees(loaded(""), *exports), exports->size());
    return;
  }
  GTEST_SKIP() << "this program has no ld.so";
}

TEST(ElfProcess, TheEntryIsTheOneTheKernelGives) {
  OwnMemory memory;
  const auto image = ElfImage::open(memory, modules().front().base);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->entry(), ::getauxval(AT_ENTRY));
}

// Each slot holds what dlsym gives, or, not yet bound, leads back into the program's own PLT.
TEST(ElfProcess, ImportSlotsOfThisProgramHoldWhatDlsymGives) {
  OwnMemory memory;
  const auto image = ElfImage::open(memory, modules().front().base);
  ASSERT_TRUE(image);
  const auto slots = image->import_slots(memory);
  ASSERT_TRUE(slots) << slots.error().what;
  std::size_t bound = 0;
  for (const ImportSlot& slot : *slots) {
    const auto value = read_as<std::uintptr_t>(memory, slot.slot);
    ASSERT_TRUE(value);
    if (slot.index && image->extent().contains(Va{*value})) continue;
    EXPECT_EQ(*value, reinterpret_cast<std::uintptr_t>(::dlsym(RTLD_DEFAULT, slot.name.c_str())))
        << slot.name;
    ++bound;
  }
  EXPECT_GT(bound, 20u);
  std::printf("this program: %zu import slots, %zu of them bound\n", slots->size(), bound);
}

}  // namespace
}  // namespace swat::symbols
