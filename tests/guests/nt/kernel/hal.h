// The part of the NT test kernel that is compiled: it starts the processors, switches threads and
// talks on the serial port. It knows no structure of Windows.
//
// Everything that a build of Windows decides lies in memory already when this starts: page tables,
// descriptor tables, KPCRs, processes, images. tests/guests/nt/compose.py puts it there, and with
// it the tables below, the description. All numbers in it are 64 bits wide and all addresses are
// those of the kernel's address space unless said otherwise; description.py writes the same
// structures.
#pragma once

// Everything is in one image: no global offset table.
#pragma GCC visibility push(hidden)

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long word;  // of this processor

enum {
  kModelRegisters = 8,
  kStackSlots = 2,
  kServiceTables = 2,
  kServicesOfTable = 2048,
};

struct model_register {
  u64 number;  // 0: the list ends
  u64 value;
};

// One virtual processor.
struct processor {
  u64 gdt, gdt_limit;
  u64 idt, idt_limit;
  u64 task_selector, pcr_selector;  // pcr_selector: for FS, 0 where a model register has its base
  struct model_register registers[kModelRegisters];
  u64 own_pointer;               // where in the KPCR the address of this structure is kept
  u64 current_thread;            // where the KPRCB has the ETHREAD that runs
  u64 stack_slots[kStackSlots];  // where entries look for the thread's kernel stack; 0: unused
  u64 tables_slot;               // where entries look for the kernel's CR3 (KVAS); 0: unused
  u64 teb_descriptor;      // in the GDT: its base is the TEB that FS selects; 0: there is none
  u64 idle_thread;         // an ETHREAD
  u64 idle_stack_pointer;  // kept here while a thread runs
  u64 running;             // a struct thread; 0: idle
};

// What a thread can be doing. A thread that is absent is not part of the system yet, or no more.
enum thread_state { kAbsent, kWaiting, kReady, kRunning };

// What a thread's program counts by itself, in its own memory: a line of the truth.
struct counter {
  u64 address;  // in its process, 32 bits
  u64 text;     // what is counted
};

struct thread {
  u64 state;
  u64 ethread;
  u64 pid;
  u64 page_tables;  // CR3 that the kernel has in this process
  u64 teb, teb32;
  u64 kernel_stack;  // its top
  u64 user_ip, user_sp;
  u64 stack_pointer;  // kept here while it does not run
  u64 counters, counter_count;
  u64 services;  // u32[kServiceTables][kServicesOfTable]: how often it called which
};

// A step of the story that a test lets the guest tell: words of memory change, and the truth does.
struct change {
  u64 address, value, size;
};

struct step {
  u64 pid, service;  // at which system call of which process, the next time; pid 0: at once
  u64 changes, change_count;
  u64 text;
};

struct description {
  u64 processor_count;
  u64 processors;  // struct processor[]
  u64 thread_count;
  u64 threads;  // struct thread[]
  u64 step_count;
  u64 steps;          // struct step[]
  u64 truth;          // text
  u64 user_return;    // code of the kernel's image that returns to user mode by an interrupt frame
  u64 kernel_tables;  // CR3 of the System process
  u64 boot_tables;    // CR3 that has the boot code's page where it is in physical memory, too
  u64 physical_window;  // where all of the guest's RAM is mapped; steps change user memory there
  u64 local_apic;
  u64 user_code, user_data;     // selectors
  u64 next_step, step_awaited;  // the latter: a test has asked for the next step
  u64 tick;                     // of the APIC timer, in its own units
};

// The interrupt frame behind the vector and the error code that the kernel's stubs have pushed.
struct trap {
  word vector, error;
  word ip, cs, flags, sp, ss;
};

// What the kernel's image calls.
void HalService(word number);     // at every system call
word HalWait(void);               // the service that lasts until the next round
word HalYield(void);              // the one that lets another thread run
void HalTrap(struct trap* trap);  // at every interrupt and exception

// Each processor's own, cpu32.c and cpu64.c.
struct processor* this_processor(void);
void load_tables(struct processor* processor);
void load_thread(struct processor* processor, const struct thread* thread);
word page_fault_address(void);
void set_page_tables(u64 tables);

// switch.S
void switch_stack(u64* from, const u64* to);
void thread_start(void);
