// Structures of an NT kernel's kind, for a PDB.
#include <stddef.h>

#pragma pack(push, 1)
struct _LIST {
  struct _LIST *Next, *Previous;
};
struct _KAPC_STATE {
  char Lists[sizeof(void *) == 8 ? 0x20 : 0x10];
  void *Process;
};
struct _KPRCB {
  char Version[sizeof(void *) == 8 ? 8 : 4];
  void *CurrentThread;
};
struct _KPCR {
  char Tib[0x18];
  struct _KPCR *Self;
  char More[(sizeof(void *) == 8 ? 0x180 : 0x120) - 0x18 - sizeof(void *)];
  struct _KPRCB Prcb;
};
struct _KTHREAD {
  char Header[sizeof(void *) == 8 ? 0x98 : 0x30];
  union {
    struct _KAPC_STATE ApcState;
    struct {
      char ApcStateFill[sizeof(struct _KAPC_STATE) - 1];
      signed char Priority;
    };
  };
  struct {
    void *Routine;
    struct {
      struct _LIST List;
    } State;
  } Apc;
};
struct _CLIENT_ID {
  void *UniqueProcess, *UniqueThread;
};
struct _ETHREAD {
  struct _KTHREAD Tcb;
  char Much[0x10040 - sizeof(struct _KTHREAD)];
  struct _CLIENT_ID Cid;
  const volatile struct _CLIENT_ID Volatile;
};
struct _EPROCESS {
  long long Pcb;
  unsigned Flags : 3;
  unsigned Exiting : 1;
  unsigned : 28;
  int Gap;
  union {
    long long Wide;
    struct {
      int Low, High;
    } Parts;
  } Union;
  char Much[0x7fff - 0x18];
  char ImageFileName[15];
  char More[0x9000 - 0x7fff - 15];
  struct _UNKNOWN *Last;
};

// Its list of members takes more than one record.
#define TEN(name) \
  int name##0, name##1, name##2, name##3, name##4, name##5, name##6, name##7, name##8, name##9
#define FIFTY(name, a, b, c, d, e) \
  TEN(name##a);                    \
  TEN(name##b);                    \
  TEN(name##c);                    \
  TEN(name##d);                    \
  TEN(name##e)
#define HUNDRED(name)         \
  FIFTY(name, 0, 1, 2, 3, 4); \
  FIFTY(name, 5, 6, 7, 8, 9)
struct _MANY {
  int first;
  char pad[4];
  HUNDRED(a_member_with_a_name_as_long_as_they_are_in_the_kernel_itself_a_);
  HUNDRED(a_member_with_a_name_as_long_as_they_are_in_the_kernel_itself_b_);
  HUNDRED(a_member_with_a_name_as_long_as_they_are_in_the_kernel_itself_c_);
  HUNDRED(a_member_with_a_name_as_long_as_they_are_in_the_kernel_itself_d_);
  HUNDRED(a_member_with_a_name_as_long_as_they_are_in_the_kernel_itself_e_);
  HUNDRED(a_member_with_a_name_as_long_as_they_are_in_the_kernel_itself_f_);
  HUNDRED(a_member_with_a_name_as_long_as_they_are_in_the_kernel_itself_g_);
  HUNDRED(a_member_with_a_name_as_long_as_they_are_in_the_kernel_itself_h_);
  HUNDRED(a_member_with_a_name_as_long_as_they_are_in_the_kernel_itself_i_);
  char rest[8000 - 3608];
  int last;
};
#pragma pack(pop)

#ifdef __x86_64__
#define MEMBER(structure, path, x64, x86) \
  _Static_assert(offsetof(struct structure, path) == x64, #path);
#else
#define MEMBER(structure, path, x64, x86) \
  _Static_assert(offsetof(struct structure, path) == x86, #path);
#endif
#include "members.inc"

struct _KPCR kpcr;
struct _ETHREAD ethread;
struct _EPROCESS eprocess;
struct _MANY many;
