// What sample.c links against, so that its imports have types.
int provided(int x) { return x + 1; }
int provided_object = 3;
