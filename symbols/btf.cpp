#include "symbols/btf.hpp"

#include <limits>
#include <string>
#include <utility>

#include "symbols/btf_section.hpp"

namespace swat::symbols {
namespace {

using namespace btf;  // NOLINT(google-build-using-namespace): the section's own names
using Bytes = std::span<const std::byte>;

constexpr std::uint16_t kMagic = 0xeb9f;
constexpr std::size_t kMaxTypes = 1 << 21;
constexpr std::size_t kMaxNameBytes = 512;
constexpr int kMaxVisits = 1 << 20;  // members looked at for one path
constexpr int kMaxCandidates = 64;   // headers tried in one image

}  // namespace

Result<TypeHead> Btf::Impl::head(std::uint32_t id) const {
  if (id == 0 || id >= at.size()) return fail(Errc::kBadImage, "BTF type id out of range");
  const auto type = load<TypeHead>(types, at[id]);
  if (!type) return fail(Errc::kBadImage, "BTF type cut short");
  return *type;
}

Result<std::string_view> Btf::Impl::name(std::uint32_t offset) const {
  const auto text = load_c_string(strings, offset, kMaxNameBytes);
  if (!text) return fail(Errc::kBadImage, "BTF name out of range");
  return *text;
}

// One pass over all types: their places, and the names one can ask for.
Result<> Btf::Impl::index() {
  at.push_back(0);
  std::uint64_t next = 0;
  while (next < types.size()) {
    const auto type = load<TypeHead>(types, next);
    if (!type) return fail(Errc::kBadImage, "BTF type cut short");
    if (type->kind() == 0 || type->kind() >= kKinds.size())
      return fail(Errc::kUnsupported, "BTF kind " + std::to_string(type->kind()));
    const Kind& kind = kKinds[type->kind()];
    const std::uint64_t bytes =
        sizeof(TypeHead) + kind.fixed_bytes + std::uint64_t{kind.each_bytes} * type->vlen();
    if (!holds(types, next, bytes)) return fail(Errc::kBadImage, "BTF type cut short");
    if (at.size() >= kMaxTypes) return fail(Errc::kBadImage, "too many BTF types");
    const auto id = static_cast<std::uint32_t>(at.size());
    at.push_back(static_cast<std::uint32_t>(next));
    SWAT_CHECK(index_type(id, *type));
    next += bytes;
  }
  return {};
}

Result<> Btf::Impl::index_type(std::uint32_t id, const TypeHead& type) {
  const std::string_view text = SWAT_TRY(name(type.name));
  if (text.empty()) return {};
  if (role_of(type) == Role::kComposite) composites.try_emplace(text, id);
  if (type.kind() == kTypedef) typedefs.try_emplace(text, id);
  // The section does not say how wide a pointer is; a kernel's long is as wide.
  if (type.kind() == kInt && (text == "long unsigned int" || text == "unsigned long"))
    pointer_bytes = type.size_or_type == 4 ? 4 : 8;
  return {};
}

// Past typedefs and qualifiers.
Result<std::uint32_t> Btf::Impl::resolve(std::uint32_t id) const {
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    const TypeHead type = SWAT_TRY(head(id));
    if (role_of(type) != Role::kAlias) return id;
    id = type.size_or_type;
  }
  return fail(Errc::kBadImage, "BTF types that name each other in a circle");
}

Result<std::uint32_t> Btf::Impl::composite(std::string_view name) const {
  if (const auto found = composites.find(name); found != composites.end()) return found->second;
  if (const auto found = typedefs.find(name); found != typedefs.end()) {
    const std::uint32_t id = SWAT_TRY(resolve(found->second));
    if (role_of(SWAT_TRY(head(id))) == Role::kComposite) return id;
  }
  return fail(Errc::kNotFound, "no structure " + std::string(name) + " in BTF");
}

Result<std::uint64_t> Btf::Impl::size(std::uint32_t id) const {
  std::uint64_t count = 1;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    id = SWAT_TRY(resolve(id));
    const TypeHead type = SWAT_TRY(head(id));
    const Role role = role_of(type);
    if (role == Role::kPointer) return count * pointer_bytes;
    if (role == Role::kSized || role == Role::kComposite) return count * type.size_or_type;
    if (role != Role::kArray) break;
    const auto array = load<RawArray>(types, std::uint64_t{at[id]} + sizeof(TypeHead));
    if (!array) return fail(Errc::kBadImage, "BTF array cut short");
    count *= array->count;
    if (count > std::numeric_limits<std::uint32_t>::max())
      return fail(Errc::kBadImage, "BTF array too large");
    id = array->element;
  }
  return fail(Errc::kBadImage, "BTF type without a size");
}

Result<RawMember> Btf::Impl::raw_member(std::uint32_t id, std::uint32_t index) const {
  const std::uint64_t member_at =
      std::uint64_t{at[id]} + sizeof(TypeHead) + std::uint64_t{index} * sizeof(RawMember);
  const auto member = load<RawMember>(types, member_at);
  if (!member) return fail(Errc::kBadImage, "BTF member cut short");
  return *member;
}

Result<Btf::Impl::Found> Btf::Impl::find(std::uint32_t id, std::string_view wanted, int depth,
                                         int& visits) const {
  id = SWAT_TRY(resolve(id));
  const TypeHead type = SWAT_TRY(head(id));
  if (role_of(type) != Role::kComposite) return fail(Errc::kNotFound, "not a structure in BTF");
  if (depth == 0) return fail(Errc::kBadImage, "BTF structures nested without end");
  if (wanted.empty()) return fail(Errc::kNotFound, "a member path with an empty name");
  for (std::uint32_t i = 0; i < type.vlen(); ++i) {
    if (--visits < 0) return fail(Errc::kBadImage, "BTF structures nested without end");
    const RawMember member = SWAT_TRY(raw_member(id, i));
    const std::string_view text = SWAT_TRY(name(member.name));
    const std::uint32_t offset = type.kind_flag() ? member.offset & 0xffffff : member.offset;
    if (text == wanted)
      return Found{offset, member.type, type.kind_flag() ? member.offset >> 24 : 0};
    if (!text.empty()) continue;
    auto inner = find(member.type, wanted, depth - 1, visits);
    if (inner) {
      inner->offset_bits += offset;
      return inner;
    }
    if (inner.error().code != Errc::kNotFound) return inner;
  }
  return fail(Errc::kNotFound, "no member " + std::string(wanted) + " in BTF");
}

Result<Btf::Member> Btf::Impl::sized(const Found& found) const {
  const std::uint64_t bytes = found.bitfield_bits == 0
                                  ? SWAT_TRY(size(found.type))
                                  : (found.offset_bits % 8 + found.bitfield_bits + 7) / 8;
  const std::uint64_t offset = found.offset_bits / 8;
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint32_t>::max();
  if (bytes > kMax || offset > kMax) return fail(Errc::kBadImage, "BTF member too far out");
  return Member{static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(bytes)};
}

Btf::Btf(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Btf::Btf(Btf&&) noexcept = default;
Btf& Btf::operator=(Btf&&) noexcept = default;
Btf::~Btf() = default;

Result<Btf> Btf::parse(std::span<const std::byte> section) {
  const auto header = load<Header>(section, 0);
  if (!header || header->magic != kMagic) return fail(Errc::kBadImage, "not a BTF section");
  if (header->version != 1) return fail(Errc::kUnsupported, "BTF of another version");
  if (!holds(section, header->header_bytes, 0) || header->header_bytes < sizeof(Header))
    return fail(Errc::kBadImage, "BTF header too long");
  const Bytes body = section.subspan(header->header_bytes);
  if (!holds(body, header->types_at, header->types_bytes) ||
      !holds(body, header->strings_at, header->strings_bytes))
    return fail(Errc::kBadImage, "BTF section cut short");
  const Bytes types = body.subspan(header->types_at, header->types_bytes);
  const Bytes strings = body.subspan(header->strings_at, header->strings_bytes);
  auto impl = std::make_unique<Impl>();
  impl->types.assign(types.begin(), types.end());
  impl->strings.assign(strings.begin(), strings.end());
  SWAT_CHECK(impl->index());
  return Btf(std::move(impl));
}

// A module's BTF refers to ids and strings of vmlinux's and does not stand alone; and no structure
// of it is called task_struct.
Result<Btf> Btf::find(const KernelImage& image) {
  static constexpr std::string_view kStart{"\x9f\xeb\x01\x00\x18\x00\x00\x00", 8};
  const std::string_view text = as_text(image.bytes);
  int candidates = 0;
  for (std::size_t at = text.find(kStart); at != std::string_view::npos;
       at = text.find(kStart, at + 1)) {
    const auto header = load<Header>(image.bytes, at);
    if (!header || header->types_at != 0 || header->strings_at != header->types_bytes) continue;
    const std::uint64_t bytes =
        sizeof(Header) + std::uint64_t{header->types_bytes} + header->strings_bytes;
    if (!holds(image.bytes, at, bytes)) continue;
    if (++candidates > kMaxCandidates) break;
    auto btf = parse(image.bytes.subspan(at, bytes));
    if (btf && btf->size_of("task_struct")) return btf;
  }
  return fail(Errc::kNotFound, "no BTF of the kernel in the image");
}

Result<Btf::Member> Btf::member(std::string_view structure, std::string_view path) const {
  std::uint32_t id = SWAT_TRY(impl_->composite(structure));
  std::uint64_t offset_bits = 0;
  int visits = kMaxVisits;
  while (true) {
    const std::size_t dot = path.find('.');
    Impl::Found found = SWAT_TRY(impl_->find(id, path.substr(0, dot), kMaxDepth, visits));
    found.offset_bits += offset_bits;
    if (dot == std::string_view::npos) return impl_->sized(found);
    path.remove_prefix(dot + 1);
    offset_bits = found.offset_bits;
    id = found.type;
  }
}

Result<std::uint32_t> Btf::size_of(std::string_view structure) const {
  const std::uint32_t id = SWAT_TRY(impl_->composite(structure));
  return SWAT_TRY(impl_->head(id)).size_or_type;
}

}  // namespace swat::symbols
