// Kernels as they ran: each folder of $SWAT_TEST_KERNELS is one, made by dump_kernel (memory, and
// the guest's own /proc/kallsyms) and list_btf_members (pahole's reading of the package's .BTF).
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "symbols/btf.hpp"
#include "symbols/kallsyms.hpp"
#include "symbols/ksymtab.hpp"
#include "symbols/vmcoreinfo.hpp"

namespace swat::symbols::test {
namespace {

namespace fs = std::filesystem;

struct RealKernel {
  std::string name;
  std::map<std::string, std::string> meta;
  std::vector<std::byte> bytes;
  std::vector<Symbol> truth;  // empty: this kernel has no kallsyms, or nobody asked it

  [[nodiscard]] KernelImage image() const {
    return {Va{std::stoull(meta.at("base"), nullptr, 16)}, bytes,
            meta.at("pointer_bytes") == "4" ? 4u : 8u};
  }
};

std::vector<std::byte> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::byte> bytes(fs::file_size(path));
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

std::vector<Symbol> read_system_map(const fs::path& path) {
  std::vector<Symbol> symbols;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string address, type, name, module;
    if (!(words >> address >> type >> name) || words >> module) continue;
    symbols.push_back({Va{std::stoull(address, nullptr, 16)}, type[0], name});
  }
  return symbols;
}

std::vector<RealKernel> load_kernels() {
  std::vector<RealKernel> kernels;
  const char* folder = std::getenv("SWAT_TEST_KERNELS");
  if (folder == nullptr || !fs::is_directory(folder)) return kernels;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!fs::exists(entry.path() / "meta")) continue;
    RealKernel kernel{entry.path().filename(), {}, read_file(entry.path() / "image.bin"), {}};
    std::ifstream meta(entry.path() / "meta");
    for (std::string line; std::getline(meta, line);)
      kernel.meta[line.substr(0, line.find('='))] = line.substr(line.find('=') + 1);
    kernel.truth = read_system_map(entry.path() / "System.map");
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

class RealKernels : public testing::Test {
 protected:
  static void SetUpTestSuite() { kernels_ = load_kernels(); }
  static void TearDownTestSuite() { kernels_.clear(); }
  void SetUp() override {
    if (kernels_.empty())
      GTEST_SKIP()
          << "NOT TESTED on real kernels: set SWAT_TEST_KERNELS to a folder of dump_kernel";
  }

  static inline std::vector<RealKernel> kernels_;
};

template <class Call>
auto timed(const std::string& what, Call call) {
  const auto start = std::chrono::steady_clock::now();
  auto result = call();
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
  std::cout << what << ": " << time.count() << " ms\n";
  return result;
}

// A folder whose truth is a System.map shows a kernel that has no kallsyms.
TEST_F(RealKernels, KallsymsSaysWhatTheGuestsOwnDoes) {
  for (const RealKernel& kernel : kernels_) {
    if (kernel.meta.at("truth") != "proc_kallsyms") continue;
    SCOPED_TRACE(kernel.name);
    const auto found =
        timed(kernel.name + " kallsyms", [&] { return find_kallsyms(kernel.image()); });
    if (kernel.truth.empty()) {
      EXPECT_EQ(found.error().code, Errc::kNotFound);
      continue;
    }
    ASSERT_TRUE(found) << found.error().what;
    ASSERT_EQ(found->all().size(), kernel.truth.size());
    for (std::size_t i = 0; i < kernel.truth.size(); ++i) {
      const Symbol& mine = found->all()[i];
      const Symbol& guests = kernel.truth[i];
      ASSERT_EQ(mine.address.value, guests.address.value) << i << " " << guests.name;
      ASSERT_EQ(mine.name, guests.name) << i;
      ASSERT_EQ(mine.type, guests.type) << i;
    }
  }
}

// Exported data is in no kallsyms without KALLSYMS_ALL: those names cannot be compared.
TEST_F(RealKernels, KsymtabAgreesWithTheGuestsOwnNames) {
  for (const RealKernel& kernel : kernels_) {
    SCOPED_TRACE(kernel.name);
    const auto found =
        timed(kernel.name + " ksymtab", [&] { return find_ksymtab(kernel.image()); });
    if (!found) {
      EXPECT_EQ(found.error().code, Errc::kNotFound);  // a kernel without modules
      continue;
    }
    std::multimap<std::string_view, Va> truth;
    for (const Symbol& symbol : kernel.truth) truth.emplace(symbol.name, symbol.address);
    for (const Symbol& symbol : found->all()) {
      const auto [first, last] = truth.equal_range(symbol.name);
      const bool known = std::any_of(first, last, [&](const auto& entry) {
        return entry.second.value == symbol.address.value;
      });
      ASSERT_TRUE(first == last || known) << symbol.name << " " << std::hex << symbol.address.value;
    }
  }
}

TEST_F(RealKernels, BtfAgreesWithPahole) {
  for (const RealKernel& kernel : kernels_) {
    SCOPED_TRACE(kernel.name);
    const fs::path members = fs::path(std::getenv("SWAT_TEST_KERNELS")) / kernel.name / "members";
    if (!fs::exists(members)) continue;
    const auto btf = timed(kernel.name + " btf", [&] { return Btf::find(kernel.image()); });
    ASSERT_TRUE(btf) << btf.error().what;
    std::ifstream file(members);
    std::string structure, path;
    std::uint32_t offset = 0, size = 0;
    while (file >> structure >> path >> offset >> size) {
      const auto member = btf->member(structure, path);
      ASSERT_TRUE(member) << structure << "." << path << ": " << member.error().what;
      EXPECT_EQ(member->offset_bytes, offset) << structure << "." << path;
      EXPECT_EQ(member->size_bytes, size) << structure << "." << path;
    }
  }
}

// Where the text lies in the image (since 4.12 it has a page of its own, which may be elsewhere).
TEST_F(RealKernels, VmcoreinfoAgreesWithTheGuestsOwnNames) {
  for (const RealKernel& kernel : kernels_) {
    SCOPED_TRACE(kernel.name);
    const auto banner = find_linux_banner(kernel.image());
    ASSERT_TRUE(banner) << banner.error().what;
    const auto info = Vmcoreinfo::find(kernel.image());
    if (!info) continue;
    EXPECT_TRUE(banner->starts_with("Linux version " + info->os_release() + " ")) << *banner;
    for (const Symbol& symbol : kernel.truth) {
      if (symbol.name == "_stext") {
        EXPECT_EQ(info->symbol("_stext"), symbol.address);
      }
    }
  }
}

}  // namespace
}  // namespace swat::symbols::test
