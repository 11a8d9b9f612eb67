#include "gdbproto/target_xml.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <pugixml.hpp>
#include <utility>

namespace swat::gdbproto {
namespace {

// Bounds on what a peer may describe. The largest that QEMU is known to send, `-cpu max` of AArch64
// with SME, stays below a quarter of each.
constexpr unsigned kMaxDepth = 8;
constexpr unsigned kMaxIncludes = 64;
constexpr std::size_t kMaxXmlBytes = 4 << 20;
constexpr std::size_t kMaxRegisters = 4096;
constexpr unsigned kMaxRegisterNumber = 1 << 16;
constexpr unsigned kMaxBits = 8 << 18;

tl::unexpected<Error> bad(std::string what) {
  return fail(Errc::kProtocol, "target.xml: " + std::move(what));
}

using Fetch = std::function<Result<std::string>(std::string_view)>;

// One walk over target.xml and all that it includes.
class Walk {
 public:
  explicit Walk(const Fetch& fetch) : fetch_(fetch) {}

  Result<> document(std::string_view xml, unsigned depth) {
    xml_bytes_ += xml.size();
    if (xml_bytes_ > kMaxXmlBytes) return bad("too long");
    pugi::xml_document parsed;
    const auto status = parsed.load_buffer(xml.data(), xml.size());
    if (!status) return bad(status.description());
    return children(parsed, depth);
  }

  std::string architecture;
  std::vector<RegisterInfo> registers;

 private:
  Result<> children(const pugi::xml_node& parent, unsigned depth) {
    if (depth > kMaxDepth) return bad("nested too deep");
    for (const pugi::xml_node& node : parent.children()) SWAT_CHECK(element(node, depth));
    return {};
  }

  Result<> element(const pugi::xml_node& node, unsigned depth) {
    const std::string_view name = node.name();
    if (name == "target" || name == "feature") return children(node, depth + 1);
    if (name == "xi:include") return include(node.attribute("href").value(), depth);
    if (name == "reg") return reg(node);
    if (name == "architecture" && architecture.empty()) architecture = node.child_value();
    return {};
  }

  Result<> include(std::string_view href, unsigned depth) {
    if (++includes_ > kMaxIncludes) return bad("too many includes");
    if (href.empty()) return bad("include of nothing");
    const Result<std::string> text = fetch_(href);
    if (!text) return tl::unexpected<Error>(text.error());
    return document(*text, depth + 1);
  }

  Result<> reg(const pugi::xml_node& node) {
    const std::string name = node.attribute("name").value();
    const unsigned bits = node.attribute("bitsize").as_uint();
    const unsigned number = node.attribute("regnum").as_uint(next_number_);
    if (name.empty() || bits == 0 || bits % 8 != 0 || bits > kMaxBits) {
      return bad("register \"" + name + "\" of " + std::to_string(bits) + " bits");
    }
    if (number > kMaxRegisterNumber || registers.size() == kMaxRegisters) {
      return bad("too many registers");
    }
    next_number_ = number + 1;
    registers.push_back({name, number, 0, bits / 8});
    return {};
  }

  const Fetch& fetch_;  // outlives the walk
  unsigned next_number_ = 0;
  unsigned includes_ = 0;
  std::size_t xml_bytes_ = 0;
};

// `g` holds the registers in the order of their numbers, with no gap where a number is not in use:
// QEMU sends nothing for 16-24 of ARM. [QEMU target/arm/gdbstub.c, arm_cpu_gdb_read_register]
Result<> place(std::vector<RegisterInfo>& registers) {
  std::ranges::stable_sort(registers, {}, &RegisterInfo::number);
  std::size_t offset = 0;
  const RegisterInfo* previous = nullptr;
  for (RegisterInfo& reg : registers) {
    if (previous != nullptr && previous->number == reg.number) {
      return bad("two registers of number " + std::to_string(reg.number));
    }
    reg.offset = offset;
    offset += reg.size_bytes;
    previous = &reg;
  }
  return {};
}

}  // namespace

Result<TargetDescription> TargetDescription::parse(std::string_view xml, const Fetch& fetch) {
  Walk walk(fetch);
  SWAT_CHECK(walk.document(xml, 0));
  if (walk.registers.empty()) return bad("no registers");
  SWAT_CHECK(place(walk.registers));
  TargetDescription target;
  target.architecture_ = std::move(walk.architecture);
  target.registers_ = std::move(walk.registers);
  target.index_names();
  return target;
}

void TargetDescription::index_names() {
  by_name_.resize(registers_.size());
  std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
  // Stable: of two registers of one name the first is found.
  std::ranges::stable_sort(by_name_, {}, [this](std::size_t i) { return name_of(i); });
}

const RegisterInfo* TargetDescription::find(std::string_view name) const {
  const auto at =
      std::ranges::lower_bound(by_name_, name, {}, [this](std::size_t i) { return name_of(i); });
  return at == by_name_.end() || name_of(*at) != name ? nullptr : &registers_[*at];
}

Result<std::uint64_t> TargetDescription::value(std::span<const std::byte> g,
                                               const RegisterInfo& reg) const {
  if (reg.size_bytes > sizeof(std::uint64_t)) {
    return fail(Errc::kUsage, "register " + reg.name + " is wider than 64 bits");
  }
  if (reg.offset > g.size() || g.size() - reg.offset < reg.size_bytes) {
    return fail(Errc::kUnsupported, "register " + reg.name + " is not in the reply to g");
  }
  std::uint64_t value = 0;
  for (std::size_t i = reg.size_bytes; i-- > 0;) {
    value = value << 8 | std::to_integer<std::uint64_t>(g[reg.offset + i]);
  }
  return value;
}

}  // namespace swat::gdbproto
