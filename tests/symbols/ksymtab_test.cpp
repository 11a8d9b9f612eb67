#include "symbols/ksymtab.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace swat::symbols::test {
namespace {

// struct kernel_symbol at some time. [include/linux/export.h; include/linux/module.h of 2.4]
struct Form {
  const char* name;
  unsigned pointer_bytes;
  bool place_relative;
  unsigned fields;
  const char* suffix;  // of names: MODVERSIONS until 2.4
};

struct Exports {
  std::vector<std::byte> bytes;
  std::vector<Symbol> symbols;
  KernelImage image;
};

void put(std::vector<std::byte>& bytes, std::uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
}

// Code, names, and the table, which ends at something else.
Exports build(const Form& form, std::vector<std::string> names) {
  const Va base{form.pointer_bytes == 8 ? 0xffffffff81000000 : 0xc0100000};
  Exports out;
  std::mt19937 random(3);
  for (int i = 0; i < 4096; ++i) put(out.bytes, random(), 4);
  std::vector<std::uint64_t> name_at;
  put(out.bytes, 0, 1);
  for (const std::string& name : names) {
    name_at.push_back(base.value + out.bytes.size());
    for (const char c : name + form.suffix) put(out.bytes, static_cast<unsigned char>(c), 1);
    put(out.bytes, 0, 1);
  }
  const std::uint64_t empty_at = base.value + out.bytes.size() - 1;
  while (out.bytes.size() % 16 != 0) put(out.bytes, 0, 1);
  const auto field = [&](std::uint64_t value) {
    if (form.place_relative)
      put(out.bytes, value - (base.value + out.bytes.size()), 4);
    else
      put(out.bytes, value, form.pointer_bytes);
  };
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Va value = base + 16 * i;
    field(value.value);
    field(name_at[i]);
    if (form.fields == 3) field(empty_at);
    out.symbols.push_back({value, 0, names[i]});
  }
  for (int i = 0; i < 16; ++i) put(out.bytes, random(), 4);
  out.image = {base, out.bytes, form.pointer_bytes};
  return out;
}

std::vector<std::string> some_names() {
  std::vector<std::string> names = {"init_task", "kfree", "printk", "vfree"};
  for (int i = 0; i < 120; ++i) names.push_back("exported_" + std::to_string(i));
  return names;
}

class EveryForm : public testing::TestWithParam<Form> {};

INSTANTIATE_TEST_SUITE_P(Ksymtab, EveryForm,
                         testing::Values(Form{"i386_2_4", 4, false, 2, "_Rsmp_1b7d4074"},
                                         Form{"x86_64_4_18", 8, false, 2, ""},
                                         Form{"arm_5_4", 4, false, 3, ""},
                                         Form{"x86_64_4_19", 8, true, 2, ""},
                                         Form{"x86_64_5_4", 8, true, 3, ""}),
                         [](const auto& form) { return std::string(form.param.name); });

TEST_P(EveryForm, IsReadBackWhole) {
  const Exports exports = build(GetParam(), some_names());
  const auto found = find_ksymtab(exports.image);
  ASSERT_TRUE(found) << found.error().what;
  ASSERT_EQ(found->all().size(), exports.symbols.size());
  for (std::size_t i = 0; i < exports.symbols.size(); ++i) {
    EXPECT_EQ(found->all()[i].name, exports.symbols[i].name);
    EXPECT_EQ(found->all()[i].address, exports.symbols[i].address);
  }
}

TEST_P(EveryForm, SurvivesBeingCutAnywhere) {
  const Exports exports = build(GetParam(), some_names());
  for (std::size_t size = 16384; size < exports.bytes.size(); size += 37) {
    const std::vector<std::byte> cut(exports.bytes.begin(),
                                     exports.bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const auto found = find_ksymtab({exports.image.base, cut, exports.image.pointer_bytes});
    if (found) {
      EXPECT_LE(found->all().size(), exports.symbols.size());
    }
  }
}

// kallsyms_addresses lists the strings of exported names one after the other.
TEST(Ksymtab, AListOfStringsIsNotOne) {
  const Form form{"", 8, false, 2, ""};
  Exports exports = build(form, some_names());
  const Va base = exports.image.base;
  std::vector<std::byte> strings(exports.bytes.begin(), exports.bytes.begin() + 16384 + 2048);
  std::uint64_t at = 16384 + 1;
  for (const std::string& name : some_names()) {
    put(strings, base.value + at, 8);
    at += name.size() + 1;
  }
  EXPECT_EQ(find_ksymtab({base, strings, 8}).error().code, Errc::kNotFound);
}

TEST(Ksymtab, IsNotFoundWithoutTheNamesEveryKernelExports) {
  std::vector<std::string> names;
  for (int i = 0; i < 120; ++i) names.push_back("exported_" + std::to_string(i));
  names[7] = "kfree";  // as in a list of trace events
  const Exports exports = build({"", 8, true, 3, ""}, names);
  EXPECT_EQ(find_ksymtab(exports.image).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace swat::symbols::test
