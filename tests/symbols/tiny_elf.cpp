#include "tiny_elf.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>

namespace swat::symbols {
namespace {

constexpr std::string_view kText("\0call\0pick\0need\0datum\0libtiny.so\0V1\0", 36);
static_assert(kText.size() <= TinyElf::kStringBytes);

std::uint32_t string_at(std::string_view name) {
  return static_cast<std::uint32_t>(kText.find(name));
}

}  // namespace

TinyElf::TinyElf() : bytes_(kBytes) {
  put_segments();
  put_dynamic();
  put_symbols();
  put_versions();
  put_relocations();
  std::memcpy(bytes_.data() + kStrings, kText.data(), kText.size());
}

void TinyElf::put_segments() {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_DYN;
  header.e_machine = EM_X86_64;
  header.e_entry = kCode;
  header.e_phoff = kSegments;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 3;
  put(0, header);
  put(kSegments, Elf64_Phdr{PT_LOAD, PF_R | PF_W | PF_X, 0, 0, 0, kBytes, kBytes, kPage});
  put(kSegments + sizeof(Elf64_Phdr),
      Elf64_Phdr{PT_DYNAMIC, PF_R, kDynamic, kDynamic, 0, 0x200, 0x200, 8});
  put(kSegments + 2 * sizeof(Elf64_Phdr), Elf64_Phdr{PT_NOTE, PF_R, kNotes, kNotes, 0, 20, 20, 4});
  put(kNotes, Elf64_Nhdr{4, 4, NT_GNU_BUILD_ID});
  put(kNotes + 12, std::array<char, 8>{'G', 'N', 'U', 0, '\x12', '\x34', '\xab', '\xcd'});
}

void TinyElf::put_dynamic() {
  const Elf64_Dyn entries[] = {{DT_SONAME, {string_at("libtiny.so")}},
                               {DT_GNU_HASH, {kGnuHash}},
                               {DT_STRTAB, {kStrings}},
                               {DT_STRSZ, {kStringBytes}},
                               {DT_SYMTAB, {kSymbols}},
                               {DT_SYMENT, {sizeof(Elf64_Sym)}},
                               {DT_VERSYM, {kNumbers}},
                               {DT_VERDEF, {kVersions}},
                               {DT_VERDEFNUM, {2}},
                               {DT_RELA, {kRelocations}},
                               {DT_RELASZ, {2 * sizeof(Elf64_Rela)}},
                               {DT_RELAENT, {sizeof(Elf64_Rela)}},
                               {DT_JMPREL, {kJumpSlots}},
                               {DT_PLTRELSZ, {sizeof(Elf64_Rela)}},
                               {DT_PLTREL, {DT_RELA}},
                               {DT_NULL, {0}}};
  put(kDynamic, entries);
}

void TinyElf::put_symbols() {
  const auto info = [](unsigned bind, unsigned type) {
    return static_cast<unsigned char>(ELF64_ST_INFO(bind, type));
  };
  const Elf64_Sym symbols[] = {
      {},
      {string_at("need"), info(STB_GLOBAL, STT_FUNC), 0, SHN_UNDEF, 0, 0},
      {string_at("call"), info(STB_GLOBAL, STT_FUNC), 0, 1, kCode, 16},
      {string_at("datum"), info(STB_GLOBAL, STT_OBJECT), 0, 2, kSlots, 8},
      {string_at("pick"), info(STB_GLOBAL, STT_GNU_IFUNC), 0, 1, kCode + 16, 16}};
  put(kSymbols, symbols);
  // Two buckets, of 2..3 and of 4; one Bloom word.
  const std::uint32_t gnu[] = {2, 2, 1, 0, ~0U, ~0U, 2, 4, 0x10, 0x11, 0x13};
  put(kGnuHash, gnu);
  const std::uint32_t sysv[] = {1, 5, 4, 0, 0, 1, 2, 3};
  put(kHash, sysv);
}

void TinyElf::put_versions() {
  put(kNumbers, std::array<std::uint16_t, 5>{0, 1, 2, 1, 0x8001});
  put(kVersions, Elf64_Verdef{1, VER_FLG_BASE, 1, 1, 0, 20, 28});
  put(kVersions + 20, Elf64_Verdaux{string_at("libtiny.so"), 0});
  put(kVersions + 28, Elf64_Verdef{1, 0, 2, 1, 0, 20, 0});
  put(kVersions + 48, Elf64_Verdaux{string_at("V1"), 0});
}

void TinyElf::put_relocations() {
  put(kRelocations, Elf64_Rela{kSlots + 8, ELF64_R_INFO(1, R_X86_64_GLOB_DAT), 0});
  put(kRelocations + 24, Elf64_Rela{kSlots + 16, ELF64_R_INFO(0, R_X86_64_IRELATIVE), kCode + 16});
  put(kJumpSlots, Elf64_Rela{kSlots, ELF64_R_INFO(1, R_X86_64_JUMP_SLOT), 0});
}

Result<> TinyElf::read(Va at, std::span<std::byte> into) {
  while (!into.empty()) {
    const std::uint64_t offset = at - kBase;
    if (offset >= bytes_.size() || offset / kPage == lost_) {
      return fail(Errc::kFault, "not mapped", at.value);
    }
    const std::uint64_t rest = std::min(kPage - offset % kPage, bytes_.size() - offset);
    const std::size_t n = std::min<std::size_t>(rest, into.size());
    std::memcpy(into.data(), bytes_.data() + offset, n);
    into = into.subspan(n);
    at = at + n;
  }
  return {};
}

std::uint64_t TinyElf::find_dynamic(std::int64_t tag) const {
  for (std::uint64_t at = kDynamic; at < kDynamic + 0x200; at += sizeof(Elf64_Dyn)) {
    if (get<Elf64_Dyn>(at).d_tag == tag) return at;
  }
  ADD_FAILURE() << "no dynamic entry " << tag;
  return kDynamic;
}

void TinyElf::set_dynamic(std::int64_t tag, std::uint64_t value) {
  put(find_dynamic(tag), Elf64_Dyn{tag, {value}});
}

void TinyElf::rename_dynamic(std::int64_t tag, std::int64_t to) { put(find_dynamic(tag), to); }

}  // namespace swat::symbols
