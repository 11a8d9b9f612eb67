#include "daemon/isf.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "daemon/isf_types.hpp"
#include "tests/symbols/btf_sample.h"

namespace swat::daemon {
namespace {

using Json = nlohmann::json;

// What gcc has written of btf_sample.c.
symbols::Btf sample() {
  std::ifstream file(SWAT_BTF_SAMPLE, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  return *symbols::Btf::parse(std::as_bytes(std::span(text)));
}

IsfTypes types_of_sample() {
  auto types = isf_types_of(sample());
  EXPECT_TRUE(types);
  return *std::move(types);
}

Json task_field(std::string_view name) {
  return types_of_sample().user.at("task_struct").at("fields").at(std::string(name));
}

TEST(IsfOfBtf, HasTheCompilersOffsetsAndSizes) {
  const IsfTypes types = types_of_sample();
  const Json& task = types.user.at("task_struct");
  EXPECT_EQ(task.at("size"), sizeof(task_struct));
  EXPECT_EQ(task.at("kind"), "struct");
  const Json& fields = task.at("fields");
  EXPECT_EQ(fields.at("thread_info").at("offset"), offsetof(task_struct, thread_info));
  EXPECT_EQ(fields.at("comm").at("offset"), offsetof(task_struct, comm));
  EXPECT_EQ(fields.at("mm").at("offset"), offsetof(task_struct, mm));
  EXPECT_EQ(fields.at("load").at("offset"), offsetof(task_struct, load));
  EXPECT_EQ(types.user.at("thread_info").at("fields").at("cpu").at("offset"),
            offsetof(thread_info, cpu));
}

TEST(IsfOfBtf, SeesThroughTypedefsAndQualifiers) {
  EXPECT_EQ(task_field("pid").at("type"), (Json{{"kind", "base"}, {"name", "short unsigned int"}}));
  EXPECT_EQ(task_field("state").at("type").at("name"), "long int");
  EXPECT_EQ(task_field("mm").at("type"),
            (Json{{"kind", "pointer"}, {"subtype", {{"kind", "struct"}, {"name", "list_head"}}}}));
}

TEST(IsfOfBtf, HasArraysEnumsAndFunctions) {
  const Json comm = task_field("comm").at("type");
  EXPECT_EQ(comm.at("kind"), "array");
  EXPECT_EQ(comm.at("count"), 16);
  EXPECT_EQ(task_field("how").at("type"), (Json{{"kind", "enum"}, {"name", "state"}}));
  EXPECT_EQ(types_of_sample().enums.at("state").at("constants"),
            (Json{{"kRunning", kRunning}, {"kStopped", kStopped}}));
  EXPECT_EQ(task_field("hook").at("type").at("subtype").at("kind"), "function");
}

TEST(IsfOfBtf, PlacesBitfieldsInTheirIntegers) {
  const Json on_rq = task_field("on_rq");
  const Json sched_class = task_field("sched_class");
  EXPECT_EQ(on_rq.at("offset"), sched_class.at("offset"));
  EXPECT_EQ(on_rq.at("offset").get<std::size_t>(),
            offsetof(task_struct, usage) + sizeof(task_struct::usage));
  EXPECT_EQ(on_rq.at("type").at("bit_position"), 0);
  EXPECT_EQ(on_rq.at("type").at("bit_length"), 1);
  EXPECT_EQ(sched_class.at("type").at("bit_position"), 1);
  EXPECT_EQ(sched_class.at("type").at("bit_length"), 5);
}

// Every name that a type refers to, but those of forward declarations.
void expect_defined(const IsfTypes& types, const Json& type) {
  const std::string kind = type.at("kind");
  if (kind == "base") {
    EXPECT_TRUE(types.base.contains(type.at("name"))) << type;
  } else if (kind == "struct" || kind == "union") {
    EXPECT_TRUE(types.user.contains(type.at("name"))) << type;
  } else if (kind == "enum") {
    EXPECT_TRUE(types.enums.contains(type.at("name"))) << type;
  }
  if (type.contains("subtype")) expect_defined(types, type.at("subtype"));
  if (kind == "bitfield") expect_defined(types, type.at("type"));
}

TEST(IsfOfBtf, DefinesWhatItRefersTo) {
  const IsfTypes types = types_of_sample();
  std::size_t fields = 0;
  for (const auto& [name, type] : types.user.items()) {
    for (const auto& [member, field] : type.at("fields").items()) {
      expect_defined(types, field.at("type"));
      ++fields;
    }
  }
  EXPECT_GT(fields, 20u);
  for (const auto& [name, type] : types.enums.items()) {
    EXPECT_TRUE(types.base.contains(type.at("base"))) << name;
  }
}

os::LinuxProfile inferred() {
  os::LinuxProfile profile;
  profile.source = "inference";
  profile.layout = os::kX86_64Layout;
  profile.task_pid = 1300;
  profile.task_tasks = 1100;
  profile.mm_pgd = 80;
  return profile;
}

TEST(IsfOfAProfile, HasWhatWasInferredAndNoMore) {
  const IsfTypes types = isf_types_of(inferred());
  const Json& fields = types.user.at("task_struct").at("fields");
  EXPECT_EQ(fields.size(), 2u);
  EXPECT_EQ(fields.at("pid").at("offset"), 1300);
  EXPECT_EQ(fields.at("tasks").at("type").at("name"), "list_head");
  EXPECT_GE(types.user.at("task_struct").at("size"), 1304);
  EXPECT_EQ(types.user.at("list_head").at("fields").at("prev").at("offset"), 8);
  EXPECT_FALSE(types.user.contains("vm_area_struct"));
  expect_defined(types, fields.at("pid").at("type"));
}

TEST(Isf, NamesItsKernelByTheBytesOfItsBanner) {
  os::KernelDescription kernel{"Linux version 6.1",
                               symbols::SymbolTable({{Va{0xffffffff81000000}, 'T', "_text"}}),
                               Va{0xffffffff82a1b900},
                               inferred(),
                               "",
                               std::nullopt};
  const auto text = to_isf(kernel);
  ASSERT_TRUE(text);
  const Json isf = Json::parse(*text);
  // base64 of the banner, \n and \0, by coreutils
  EXPECT_EQ(isf.at("symbols").at("linux_banner").at("constant_data"),
            "TGludXggdmVyc2lvbiA2LjEKAA==");
  EXPECT_EQ(isf.at("symbols").at("_text").at("address"), 0xffffffff81000000);
  EXPECT_EQ(isf.at("symbols").at("init_task").at("address"), 0xffffffff82a1b900);
  EXPECT_EQ(isf.at("metadata").at("format"), "6.2.0");
}

}  // namespace
}  // namespace swat::daemon
