/* What the sample imports. */
int provided(int n) { return n; }
int provided_by_ordinal(int n) { return n; }
int provided_late(int n) { return n; }
