// The page cache of dumps of real guests: every page of every file that runs there, against the
// files that were put into the guests' root file system.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "linux_dump.hpp"
#include "osmodels/linux/file_memory.hpp"

namespace swat::os {
namespace {

using test::LinuxDump;

constexpr std::uint64_t kPage = 4096;

std::vector<std::byte> padded_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::byte> bytes((text.size() + kPage - 1) / kPage * kPage);
  std::ranges::transform(text, bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
  return bytes;
}

class PageCacheDump : public LinuxDump {
 protected:
  void SetUp() override {
    LinuxDump::SetUp();
    const char* folders = std::getenv("SWAT_ELF_FOLDERS");
    if (folders == nullptr) GTEST_SKIP() << "SWAT_ELF_FOLDERS is not set: no files to compare";
    std::istringstream list(folders);
    for (std::string folder; std::getline(list, folder, ':');) folders_.emplace_back(folder);
  }

  // Of the file with that name; empty where there is none.
  [[nodiscard]] std::vector<std::byte> file_of(const std::string& path) const {
    const std::string name = std::filesystem::path(path).filename();
    for (const auto& folder : folders_) {
      if (is_regular_file(folder / name)) return padded_file(folder / name);
    }
    return {};
  }

  [[nodiscard]] static std::vector<Mapping> all_mappings(OsModel& model) {
    std::vector<Mapping> all;
    for (const Process& process : model.processes().value_or(std::vector<Process>{})) {
      const auto mappings = model.mappings(process).value_or(std::vector<Mapping>{});
      all.insert(all.end(), mappings.begin(), mappings.end());
    }
    return all;
  }

  [[nodiscard]] static Result<PageCacheLayout> infer(const test::Attachment& guest) {
    OsModel& model = *guest.linux_guest->model;
    std::vector<MappedFilePage> known;
    for (const Process& process : model.processes().value_or(std::vector<Process>{})) {
      if (!process.page_table) continue;
      AddressSpace user(guest.view->ram(), *find_geometry("x86_64-4level"), *process.page_table);
      const auto mappings = model.mappings(process).value_or(std::vector<Mapping>{});
      const auto found = mapped_file_pages(user, mappings, guest.linux_guest->profile.layout);
      known.insert(known.end(), found.begin(), found.end());
    }
    return infer_page_cache(model.kernel_memory(), guest.linux_guest->profile.layout, known);
  }

 private:
  std::vector<std::filesystem::path> folders_;
};

TEST_P(PageCacheDump, HasEveryPageAsItIsInTheFile) {
  const auto guest = attach();
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  const auto layout = infer(guest);
  ASSERT_TRUE(layout) << layout.error().what;
  OsModel& model = *guest.linux_guest->model;
  PageCache cache(model.kernel_memory(), guest.linux_guest->profile.layout, *layout);
  std::map<std::uint64_t, std::string> paths;  // by inode
  for (const Mapping& mapping : all_mappings(model)) {
    if (mapping.file_id != 0) paths[mapping.file_id] = mapping.path;
  }
  std::size_t pages = 0;
  for (const auto& [inode, path] : paths) {
    const auto file = file_of(path);
    for (std::uint64_t index = 0; index < file.size() / kPage; ++index) {
      const auto page = cache.find(Va{inode}, index);
      ASSERT_TRUE(page) << path << " " << index << ": " << page.error().what;
      const auto bytes = read_bytes(guest.view->ram(), *page, kPage);
      ASSERT_TRUE(bytes) << path << " " << index;
      ASSERT_TRUE(std::ranges::equal(*bytes, std::span(file).subspan(index * kPage, kPage)))
          << path << " " << index;
      ++pages;
    }
    EXPECT_FALSE(cache.find(Va{inode}, file.size() / kPage + 1000)) << path;
  }
  EXPECT_GT(pages, 400u);  // glibc alone
  std::cout << GetParam() << ": " << pages << " pages\n";
}

TEST_P(PageCacheDump, InfersWhatBtfTells) {
  const auto guest = attach();
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  const auto kernel = describe_linux(*guest.view);
  ASSERT_TRUE(kernel) << kernel.error().what;
  ASSERT_TRUE(kernel->btf);
  const auto layout = infer(guest);
  ASSERT_TRUE(layout) << layout.error().what;
  const auto offset = [&](std::string_view structure, std::string_view path) {
    const auto member = kernel->btf->member(structure, path);
    return member ? member->offset_bytes : ~std::uint32_t{0};
  };
  EXPECT_EQ(layout->inode_mapping, offset("inode", "i_mapping"));
  EXPECT_EQ(layout->mapping_root, offset("address_space", "i_pages.xa_head"));
  EXPECT_EQ(layout->node_slots, offset("xa_node", "slots"));
  EXPECT_EQ(layout->page_mapping, offset("page", "mapping"));
  EXPECT_EQ(layout->page_index, offset("page", "index"));
  EXPECT_EQ(layout->page_bytes, kernel->btf->size_of("page").value_or(0));
}

TEST_P(PageCacheDump, FillsInWhatProcessesHaveNotTouched) {
  const auto guest = attach();
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  OsModel& model = *guest.linux_guest->model;
  std::size_t untouched = 0;
  std::set<std::string> seen;  // each file in one process
  for (const Process& process : model.processes().value_or(std::vector<Process>{})) {
    const auto touched = model.memory(process);
    const auto whole = model.memory_and_files(process);
    for (const Mapping& mapping : model.mappings(process).value_or(std::vector<Mapping>{})) {
      if (mapping.writable || !mapping.executable || !seen.insert(mapping.path).second) continue;
      const auto file = file_of(mapping.path);
      if (file.empty()) continue;
      const std::uint64_t size = mapping.range.end - mapping.range.start;
      ASSERT_LE(mapping.file_offset + size, file.size()) << mapping.path;
      untouched += read_bytes(*touched, mapping.range.start, size) ? 0 : 1;
      const auto bytes = read_bytes(*whole, mapping.range.start, size);
      ASSERT_TRUE(bytes) << process.name << " " << mapping.path << ": " << bytes.error().what;
      EXPECT_TRUE(std::ranges::equal(*bytes, std::span(file).subspan(mapping.file_offset, size)))
          << process.name << " " << mapping.path;
    }
  }
  EXPECT_GT(untouched, 0u);
}

INSTANTIATE_TEST_SUITE_P(Guests, PageCacheDump, testing::ValuesIn(test::dump_names()),
                         test::dump_test_name);

}  // namespace
}  // namespace swat::os
