#include "symbols/symbol_table.hpp"

#include <gtest/gtest.h>

namespace swat::symbols::test {
namespace {

// As they come from kallsyms and modules: not in order, two names at one address, one name twice.
const SymbolTable kTable({{Va{0x3000}, 't', "third"},
                          {Va{0x1000}, 'T', "first"},
                          {Va{0x1000}, 'T', "alias"},
                          {Va{0x2000}, 't', "twice"},
                          {Va{0x4000}, 't', "twice"}});

TEST(SymbolTable, FindsTheFirstOfAName) {
  EXPECT_EQ(kTable.find("twice"), Va{0x2000});
  EXPECT_EQ(kTable.find("alias"), Va{0x1000});
  EXPECT_EQ(kTable.find("none"), std::nullopt);
  EXPECT_EQ(kTable.find_any({"none", "third", "first"}), Va{0x3000});
}

TEST(SymbolTable, KnowsWhereSymbolsStart) {
  for (const Symbol& symbol : kTable.all()) EXPECT_TRUE(kTable.is_start(symbol.address));
  EXPECT_FALSE(kTable.is_start(Va{0x1001}));
  EXPECT_FALSE(kTable.is_start(Va{0x4001}));
  EXPECT_FALSE(SymbolTable{}.is_start(Va{0}));
}

TEST(SymbolTable, EndsASymbolWhereTheNextStarts) {
  EXPECT_EQ(kTable.next_start(Va{0xfff}), Va{0x1000});
  EXPECT_EQ(kTable.next_start(Va{0x1000}), Va{0x2000});
  EXPECT_EQ(kTable.next_start(Va{0x2fff}), Va{0x3000});
  EXPECT_EQ(kTable.next_start(Va{0x4000}), std::nullopt);
}

TEST(SymbolTable, ACopyStandsByItself) {
  SymbolTable copy;
  {
    const SymbolTable original = kTable;
    copy = original;
  }
  EXPECT_EQ(copy.find("third"), Va{0x3000});
  EXPECT_EQ(copy.next_start(Va{0x3000}), Va{0x4000});
}

}  // namespace
}  // namespace swat::symbols::test
