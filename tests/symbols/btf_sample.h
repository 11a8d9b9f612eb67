/* Structures whose BTF gcc writes at build time, and whose offsets the compiler of btf_test knows:
 * two witnesses from outside. In C and in C++. */
#ifndef SWAT_TESTS_SYMBOLS_BTF_SAMPLE_H
#define SWAT_TESTS_SYMBOLS_BTF_SAMPLE_H

struct list_head {
  struct list_head *next, *prev;
};

struct thread_info {
  unsigned long flags;
  unsigned int cpu;
};

typedef struct {
  int counter;
} atomic_t;

typedef unsigned short pid16_t;

enum state { kRunning, kStopped };

struct task_struct {
  struct thread_info thread_info;
  volatile long state;
  const char *const stack;
  atomic_t usage;
  unsigned int on_rq : 1;
  unsigned int sched_class : 5;
  pid16_t pid;
  union {
    struct list_head tasks;
    struct {
      int exit_code;
      union {
        int exit_signal;
        char exit_byte;
      };
    };
  };
  char comm[16];
  struct {
    unsigned long sp;
    unsigned char matrix[3][5];
  } thread;
  enum state how;
  int (*hook)(struct task_struct *);
  const struct list_head *volatile mm;
  double load;
};

#endif
