// Any bytes, cut anywhere, are read alike; and what is kept of them stays within bounds.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "daemon/exec_log_filter.hpp"
#include "daemon/exec_log_parser.hpp"

namespace {

using namespace swat;
using namespace swat::daemon;

constexpr Va kLibrary{0x7ffff7de0000};

// Knows one process, in a guest like that of the corpus, with one vCPU or several.
void prepare(ExecLogFilter& filter, bool is_smp) {
  if (is_smp) filter.set_ends_of_page_table_writes({Va{0xffffffffa3400126}});
  filter.set_syscall_entries({Va{0xffffffffa3400080}});
  filter.set_context_switches({Va{0xffffffffa3400126}});
  filter.set_vcpu(0, 0x2a12000, true);
  const auto entries = std::make_shared<const EntryPoints>(std::vector<std::uint64_t>{0x101810});
  filter.set_space(Pa{0x2a12000}, {{{kLibrary, kLibrary + 0x200000}, kLibrary, entries, {}, false}},
                   true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = data[0] == 0 ? size : data[0];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  ExecLogFilter whole;
  ExecLogFilter cut;
  const bool is_smp = (size & 1) != 0;
  prepare(whole, is_smp);
  prepare(cut, is_smp);
  ExecLogParser whole_parser(whole);
  ExecLogParser cut_parser(cut);
  whole_parser.feed(text);
  for (std::string_view rest = text; !rest.empty();
       rest.remove_prefix(std::min(piece, rest.size()))) {
    cut_parser.feed(rest.substr(0, piece));
  }
  if (whole.confirm(0, 0x2a12000) != cut.confirm(0, 0x2a12000)) std::abort();
  const auto a = whole.take();
  const auto b = cut.take();
  const auto same = [](const Execution& x, const Execution& y) {
    return x.pc == y.pc && x.from == y.from && x.root == y.root && x.stretch == y.stretch;
  };
  if (!std::equal(a.begin(), a.end(), b.begin(), b.end(), same)) std::abort();
  if (whole_parser.bad_lines() != cut_parser.bad_lines()) std::abort();
  if (a.size() > whole_parser.traces()) std::abort();
  return 0;
}
