// Names and addresses of a guest kernel, wherever they were found (kallsyms, __ksymtab,
// VMCOREINFO).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "symbols/address.hpp"

namespace swat::symbols {

struct Symbol {
  Va address;
  char type;  // as nm prints it; 0 where the source has none
  std::string name;
};

class SymbolTable {
 public:
  SymbolTable() = default;
  explicit SymbolTable(std::vector<Symbol> symbols);
  // The index refers into symbols_: a copy makes its own, a move takes both along.
  SymbolTable(const SymbolTable& other) : SymbolTable(other.symbols_) {}
  SymbolTable(SymbolTable&&) noexcept = default;
  SymbolTable& operator=(const SymbolTable& other) { return *this = SymbolTable(other); }
  SymbolTable& operator=(SymbolTable&&) noexcept = default;
  ~SymbolTable() = default;

  // The first symbol of that name.
  [[nodiscard]] std::optional<Va> find(std::string_view name) const;
  // The first of several names that there is: kernels rename things.
  [[nodiscard]] std::optional<Va> find_any(std::initializer_list<std::string_view> names) const;
  // Whether a symbol starts there.
  [[nodiscard]] bool is_start(Va address) const;
  // Where the next symbol behind `address` starts; nullopt: there is none.
  [[nodiscard]] std::optional<Va> next_start(Va address) const;
  [[nodiscard]] const std::vector<Symbol>& all() const { return symbols_; }
  [[nodiscard]] bool empty() const { return symbols_.empty(); }

 private:
  std::vector<Symbol> symbols_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
  std::vector<Va> starts_;  // sorted
};

}  // namespace swat::symbols
