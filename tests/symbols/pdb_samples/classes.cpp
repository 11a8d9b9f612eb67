// What only C++ has in lists of members, before the member that is looked for.
struct Base {
  virtual void first();
  int base;
};
struct Derived : Base {
  void first() override;
  virtual void second();
  virtual int pure() = 0;
  struct Within {
    int there;
  };
  static int shared;
  static int make(int);
  void alone();
  void many(int);
  void many(long);
  Within within;
  int last;
};
void Derived::first() {}
void Derived::second() {}
Derived *derived;
int use() { return derived->last + derived->within.there; }
