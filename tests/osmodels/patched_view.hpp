// A real guest some of whose 32-bit words are what a test wants them to be.
#pragma once

#include <cstring>
#include <map>

#include "dump_view.hpp"

namespace swat::test {

class PatchedRam final : public PhysicalMemory {
 public:
  explicit PatchedRam(PhysicalMemory& ram) : ram_(ram) {}

  void patch(Pa at, std::uint32_t word) { words_[at] = word; }

  const std::vector<PaRange>& ranges() const override { return ram_.ranges(); }
  Result<> read(Pa at, std::span<std::byte> into) override {
    SWAT_CHECK(ram_.read(at, into));
    const Pa end = at + into.size();
    // Only what is read whole; nobody reads half of a word.
    for (auto word = words_.lower_bound(at); word != words_.end() && word->first + 4 <= end;
         ++word) {
      std::memcpy(into.data() + (word->first - at), &word->second, 4);
    }
    return {};
  }

 private:
  PhysicalMemory& ram_;
  std::map<Pa, std::uint32_t> words_;
};

class PatchedView final : public os::GuestView {
 public:
  explicit PatchedView(DumpView& view) : view_(view), ram_(view.ram()) {}
  os::Architecture architecture() const override { return view_.architecture(); }
  unsigned vcpu_count() const override { return view_.vcpu_count(); }
  Result<std::uint64_t> reg(unsigned vcpu, std::string_view name) override {
    return view_.reg(vcpu, name);
  }
  Result<os::X86SystemTables> x86_tables(unsigned vcpu) override { return view_.x86_tables(vcpu); }
  PatchedRam& ram() override { return ram_; }

 private:
  DumpView& view_;
  PatchedRam ram_;
};

}  // namespace swat::test
