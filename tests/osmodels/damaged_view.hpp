// A real guest some of whose memory is not what its kernel wrote.
#pragma once

#include "dump_view.hpp"

namespace swat::test {

// Guest RAM some of whose words are not what the kernel wrote.
class DamagedRam final : public PhysicalMemory {
 public:
  DamagedRam(PhysicalMemory& ram, std::uint64_t seed, unsigned one_in)
      : ram_(ram), seed_(seed), one_in_(one_in) {}

  // One word in `one_in` is not what the guest wrote; 0: none.
  void damage(std::uint64_t seed, unsigned one_in) {
    seed_ = seed;
    one_in_ = one_in;
  }

  const std::vector<PaRange>& ranges() const override { return ram_.ranges(); }
  Result<> read(Pa at, std::span<std::byte> into) override {
    SWAT_CHECK(ram_.read(at, into));
    if (one_in_ == 0) return {};
    for (std::size_t i = 0; i < into.size(); ++i) {
      const std::uint64_t word = (at.value + i) / 8;
      const std::uint64_t dice = mix(word ^ seed_);
      if (dice % one_in_ != 0) continue;
      const std::uint64_t value = replacement(dice / one_in_);
      into[i] = static_cast<std::byte>(value >> ((at.value + i) % 8 * 8));
    }
    return {};
  }

 private:
  static std::uint64_t mix(std::uint64_t x) {  // splitmix64's finaliser
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
  }
  static std::uint64_t replacement(std::uint64_t dice) {
    constexpr std::uint64_t kPointers = 0xffff888000000000;
    switch (dice % 4) {
      case 0:
        return 0;
      case 1:
        return ~std::uint64_t{0};
      case 2:
        return kPointers + (dice / 4 % 0x10000000 & ~std::uint64_t{7});
      default:
        return dice;
    }
  }

  PhysicalMemory& ram_;
  std::uint64_t seed_;
  unsigned one_in_;
};

class DamagedView final : public os::GuestView {
 public:
  DamagedView(DumpView& view, std::uint64_t seed, unsigned one_in)
      : view_(view), ram_(view.ram(), seed, one_in) {}
  os::Architecture architecture() const override { return view_.architecture(); }
  unsigned vcpu_count() const override { return view_.vcpu_count(); }
  Result<std::uint64_t> reg(unsigned vcpu, std::string_view name) override {
    return view_.reg(vcpu, name);
  }
  Result<os::X86SystemTables> x86_tables(unsigned vcpu) override { return view_.x86_tables(vcpu); }
  PhysicalMemory& ram() override { return ram_; }
  void damage(std::uint64_t seed, unsigned one_in) { ram_.damage(seed, one_in); }

 private:
  DumpView& view_;
  DamagedRam ram_;
};

}  // namespace swat::test
