#include "symbols/symbol_table.hpp"

#include <algorithm>
#include <utility>

namespace swat::symbols {

SymbolTable::SymbolTable(std::vector<Symbol> symbols) : symbols_(std::move(symbols)) {
  by_name_.reserve(symbols_.size());
  for (std::size_t i = 0; i < symbols_.size(); ++i) by_name_.try_emplace(symbols_[i].name, i);
  starts_.reserve(symbols_.size());
  for (const Symbol& symbol : symbols_) starts_.push_back(symbol.address);
  std::ranges::sort(starts_);
}

std::optional<Va> SymbolTable::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return std::nullopt;
  return symbols_[found->second].address;
}

bool SymbolTable::is_start(Va address) const {
  return std::ranges::binary_search(starts_, address);
}

std::optional<Va> SymbolTable::next_start(Va address) const {
  const auto next = std::ranges::upper_bound(starts_, address);
  return next == starts_.end() ? std::nullopt : std::optional(*next);
}

std::optional<Va> SymbolTable::find_any(std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    if (const auto address = find(name)) return address;
  }
  return std::nullopt;
}

}  // namespace swat::symbols
