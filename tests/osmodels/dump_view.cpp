#include "dump_view.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace swat::test {
namespace {

// "12 (a name) S 1 ...": a name may hold spaces and parentheses.
void add_stat(const std::string& line, Truth& truth) {
  const std::size_t open = line.find('(');
  const std::size_t close = line.rfind(')');
  Truth::Process& process = truth.processes[static_cast<std::uint32_t>(std::stoul(line))];
  process.pid = static_cast<std::uint32_t>(std::stoul(line));
  process.name = line.substr(open + 1, close - open - 1);
  process.parent_pid = static_cast<std::uint32_t>(std::stoul(line.substr(close + 4)));
}

}  // namespace

DumpRam::DumpRam(const std::filesystem::path& file) {
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw std::runtime_error("cannot open " + file.string());
  size_ = std::filesystem::file_size(file);
  void* mapped = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
  close(descriptor);
  if (mapped == MAP_FAILED) throw std::runtime_error("cannot map " + file.string());
  bytes_ = static_cast<const std::byte*>(mapped);
  // Between them: VGA memory and ROMs of a PC.
  ranges_ = {{Pa{0}, Pa{0xa0000}}, {Pa{0x100000}, Pa{size_}}};
}

DumpRam::~DumpRam() { munmap(const_cast<std::byte*>(bytes_), size_); }

Result<> DumpRam::read(Pa at, std::span<std::byte> into) {
  for (const PaRange& range : ranges_) {
    if (!range.contains(at) || range.end - at < into.size()) continue;
    std::memcpy(into.data(), bytes_ + at.value, into.size());
    return {};
  }
  return fail(Errc::kFault, "no RAM there", at.value);
}

DumpView::DumpView(const std::filesystem::path& directory) : ram_(directory / "ram.bin") {
  std::ifstream lines(directory / "registers");
  unsigned vcpu = 0;
  std::string name;
  std::uint64_t value = 0;
  while (lines >> std::dec >> vcpu >> name >> std::hex >> value) {
    if (vcpu >= registers_.size()) registers_.resize(vcpu + 1);
    registers_[vcpu][name] = value;
  }
}

Result<std::uint64_t> DumpView::reg(unsigned vcpu, std::string_view name) {
  if (vcpu >= registers_.size()) return fail(Errc::kNotFound, "no such vCPU");
  const auto found = registers_[vcpu].find(name);
  if (found == registers_[vcpu].end()) return fail(Errc::kNotFound, "no such register");
  return found->second;
}

Result<os::X86SystemTables> DumpView::x86_tables(unsigned vcpu) {
  os::X86SystemTables tables;
  tables.idt_base = Va{SWAT_TRY(reg(vcpu, "idt"))};
  tables.gdt_base = Va{SWAT_TRY(reg(vcpu, "gdt"))};
  tables.tr_base = Va{SWAT_TRY(reg(vcpu, "tr"))};
  tables.lstar = lstar;
  return tables;
}

Truth read_truth(const std::filesystem::path& directory) {
  Truth truth;
  std::ifstream lines(directory / "truth");
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    std::istringstream words(line);
    std::string kind;
    std::uint32_t pid = 0;
    words >> kind;
    if (kind == "BEGIN") words >> truth.reporter;
    if (kind == "VERSION") truth.version = line.substr(8);
    if (kind == "STAT") add_stat(line.substr(5), truth);
    if (kind == "TASK" && words >> pid) {
      words >> truth.processes[pid].threads.emplace_back();
    }
    if (kind == "MAP" && words >> pid) {
      std::string rest;
      std::getline(words >> std::ws, rest);
      truth.processes[pid].maps.push_back(rest);
    }
  }
  return truth;
}

}  // namespace swat::test
