#include "daemon/isf.hpp"

#include <boost/archive/iterators/base64_from_binary.hpp>
#include <boost/archive/iterators/transform_width.hpp>
#include <nlohmann/json.hpp>

#include "daemon/isf_types.hpp"

namespace swat::daemon {
namespace {

using Json = nlohmann::json;

std::string base64(const std::string& bytes) {
  namespace iterators = boost::archive::iterators;
  using Encoder = iterators::base64_from_binary<iterators::transform_width<const char*, 6, 8>>;
  constexpr std::size_t kGroup = 3;  // bytes that become four characters
  // The encoder reads whole groups.
  std::string padded = bytes;
  const std::size_t missing = (kGroup - bytes.size() % kGroup) % kGroup;
  padded.append(missing, '\0');
  std::string text(Encoder(padded.data()), Encoder(padded.data() + padded.size()));
  text.replace(text.size() - missing, missing, missing, '=');
  return text;
}

Json metadata(const os::KernelDescription& kernel) {
  Json linux_part;
  linux_part["symbols"] = {{{"kind", "symtab"}, {"name", "kallsyms"}}};
  linux_part["types"] = {{{"name", kernel.profile.source}}};
  return {{"format", "6.2.0"},
          {"producer", {{"name", "swatd"}, {"version", SWAT_VERSION}}},
          {"linux", std::move(linux_part)}};
}

Json symbols_of(const os::KernelDescription& kernel) {
  Json symbols = Json::object();
  for (const symbols::Symbol& symbol : kernel.symbols.all()) {
    if (!symbols.contains(symbol.name)) symbols[symbol.name] = {{"address", symbol.address.value}};
  }
  symbols["init_task"]["address"] = kernel.init_task.value;
  symbols["init_task"]["type"] = {{"kind", "struct"}, {"name", "task_struct"}};
  // What Volatility knows a kernel by: the bytes of linux_banner, with their end.
  Json& banner = symbols["linux_banner"];
  if (!banner.contains("address")) banner["address"] = 0;
  banner["constant_data"] = base64(kernel.banner + std::string("\n\0", 2));
  return symbols;
}

}  // namespace

Result<std::string> to_isf(const os::KernelDescription& kernel) {
  IsfTypes types = kernel.btf ? SWAT_TRY(isf_types_of(*kernel.btf)) : isf_types_of(kernel.profile);
  const Json isf = {{"metadata", metadata(kernel)},
                    {"base_types", std::move(types.base)},
                    {"user_types", std::move(types.user)},
                    {"enums", std::move(types.enums)},
                    {"symbols", symbols_of(kernel)}};
  return isf.dump(1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace swat::daemon
