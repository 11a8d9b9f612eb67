#include "hal.h"

#include "ports.h"
#include "serial.h"

enum {
  kClockVector = 0xd1,  // NT's, with an APIC
  kApicEnd = 0xb0,
  kApicSpurious = 0xf0,
  kApicCommand = 0x300,
  kApicCommandHigh = 0x310,
  kApicTimer = 0x320,
  kApicTimerStart = 0x380,
  kApicTimerDivider = 0x3e0,
  kApicPeriodic = 1 << 17,
  kApicOn = 0x1ff,
  kStartPage = 8,  // of the other processors' first code, in the first MiB
};

// Patched into the image by compose.py: see boot*.S.
extern u64 description_address;
extern const u8 other_start[], other_start_end[];

static volatile u32 lock_word;
static volatile u32 processors_started;
static u64 round_number;

static struct description* description(void) {
  return (struct description*)(word)description_address;
}
static struct processor* processors(void) {
  return (struct processor*)(word)description()->processors;
}
static struct thread* threads(void) { return (struct thread*)(word)description()->threads; }

static void lock(void) {
  while (__sync_lock_test_and_set(&lock_word, 1)) __builtin_ia32_pause();
}
static void unlock(void) { __sync_lock_release(&lock_word); }

static volatile u32* apic(unsigned reg) {
  return (volatile u32*)(word)(description()->local_apic + reg);
}

static void store(u64 address, u64 value, u64 size) {
  __builtin_memcpy((void*)(word)address, &value, size);  // little-endian
}

static struct thread* running(const struct processor* processor) {
  return (struct thread*)(word)processor->running;
}

// Threads

static struct thread* find_ready(const struct thread* after) {
  const u64 count = description()->thread_count;
  const u32 first = after ? (u32)(after - threads()) + 1 : 0;
  for (u32 i = 0; i < count; ++i) {
    u32 at = first + i;
    while (at >= count) at -= (u32)count;
    if (threads()[at].state == kReady) return &threads()[at];
  }
  return 0;
}

static void set_current(struct processor* processor, struct thread* thread) {
  processor->running = (word)thread;
  const u64 ethread = thread ? thread->ethread : processor->idle_thread;
  store(processor->current_thread, ethread, sizeof(word));
  if (!thread) {
    set_page_tables(description()->kernel_tables);
    return;
  }
  thread->state = kRunning;
  for (int i = 0; i < kStackSlots; ++i)
    if (processor->stack_slots[i])
      store(processor->stack_slots[i], thread->kernel_stack, sizeof(word));
  if (processor->tables_slot) store(processor->tables_slot, thread->page_tables, sizeof(word));
  set_page_tables(thread->page_tables);
  load_thread(processor, thread);
}

// Gives the processor away until somebody makes the thread run again. The lock is held, here and
// when it returns, on whichever processor that is.
static void leave(struct thread* thread) {
  struct processor* processor = this_processor();
  struct thread* next = find_ready(thread);
  if (next == thread) {
    thread->state = kRunning;
    return;
  }
  set_current(processor, next);
  switch_stack(&thread->stack_pointer,
               next ? &next->stack_pointer : &processor->idle_stack_pointer);
}

// What a new thread finds on its stack: the frame that switch_stack() takes, which goes to
// thread_start, and the interrupt frame for user mode.
static void prepare(struct thread* thread) {
  enum { kSaved = sizeof(word) == 8 ? 6 : 4, kInterruptsOn = 0x202 };
  enum { kFloatSize = 512, kControl = 0x37f, kMediaControlAt = 24, kMediaControl = 0x1f80 };
  word* top = (word*)(word)thread->kernel_stack;
  *--top = (word)description()->user_data;
  *--top = (word)thread->user_sp;
  *--top = kInterruptsOn;
  *--top = (word)description()->user_code;
  *--top = (word)thread->user_ip;
  *--top = (word)thread_start;
  for (int i = 0; i < kSaved; ++i) *--top = 0;
  u8* floats = (u8*)(((word)top - kFloatSize) & -16ul);
  __builtin_memset(floats, 0, kFloatSize);
  *(u16*)floats = kControl;
  *(u32*)(floats + kMediaControlAt) = kMediaControl;
  *((word*)floats - 1) = (word)top;
  thread->stack_pointer = (word)floats - sizeof(word);
}

// Called by thread_start: what follows leave() for other threads.
word thread_started(void);
word thread_started(void) {
  unlock();
  return (word)description()->user_return;
}

// The truth

static void print_word(const char* text, u64 number, unsigned base) {
  print(text);
  print_number(number, base);
}

static void print_counts(const struct thread* thread) {
  const struct counter* counters = (const struct counter*)(word)thread->counters;
  const u32* services = (const u32*)(word)thread->services;
  for (u32 i = 0; i < (u32)thread->counter_count; ++i) {
    print_word("COUNT pid=", thread->pid, 10);
    print_word(" times=", *(const u32*)(word)counters[i].address, 10);
    print(" ");
    print((const char*)(word)counters[i].text);
    print("\n");
  }
  for (u32 i = 0; i < kServiceTables * kServicesOfTable; ++i) {
    if (!services[i]) continue;
    print_word("SERVICE pid=", thread->pid, 10);
    print_word(" number=0x", i / kServicesOfTable << 12 | i % kServicesOfTable, 16);
    print_word(" times=", services[i], 10);
    print("\n");
  }
}

// True while a thread has something to do, the first way from its start to its wait included.
static int busy(void) {
  const struct thread* end = threads() + description()->thread_count;
  for (const struct thread* t = threads(); t < end; ++t)
    if (t->state == kReady || t->state == kRunning) return 1;
  return 0;
}

// Rounds: all threads wait; a round wakes them; they do what they do and wait again.

static void forget_counts(struct thread* thread) {
  struct counter* counters = (struct counter*)(word)thread->counters;
  __builtin_memset((void*)(word)thread->services, 0,
                   kServiceTables * kServicesOfTable * sizeof(u32));
  for (u32 i = 0; i < (u32)thread->counter_count; ++i) *(u32*)(word)counters[i].address = 0;
}

static void start_round(void) {
  for (struct thread* t = threads(); t < threads() + description()->thread_count; ++t)
    if (t->state == kWaiting) t->state = kReady;
  print_word("ROUND ", ++round_number, 10);
  print("\n");
}

static const struct step* awaited_step(void) {
  const struct description* d = description();
  return d->step_awaited ? (const struct step*)(word)d->steps + d->next_step : 0;
}

static void take_step(const struct step* step) {
  const struct change* changes = (const struct change*)(word)step->changes;
  for (u32 i = 0; i < (u32)step->change_count; ++i)
    store(changes[i].address, changes[i].value, changes[i].size);
  print((const char*)(word)step->text);
  ++description()->next_step;
  description()->step_awaited = 0;
}

static void await_step(void) {
  struct description* d = description();
  if (d->next_step == d->step_count) {
    print("NO STEP\nEND\n");
    return;
  }
  d->step_awaited = 1;
  const struct step* step = awaited_step();
  print_word("STEP pid=", step->pid, 10);
  print("\n");
  if (step->pid) return;
  take_step(step);
  set_page_tables(d->kernel_tables);
  if (!busy()) print("END\n");  // else the thread that has been started says so
}

// What a test sends; only between rounds, so that a round is never disturbed.
static void obey(int command) {
  if (command == 'r') start_round();
  if (command == 's') await_step();
  if (command == 't') {
    print((const char*)(word)description()->truth);
    print("END\n");
  }
}

static void poll_serial(void) {
  if (!busy()) obey(serial_read());
}

// What the kernel's image calls

// A process that ends does not come back from its last call.
static void step_in_call(struct thread* thread, const struct step* step) {
  lock();
  take_step(step);
  set_page_tables(thread->page_tables);
  if (thread->state == kAbsent) {
    print_counts(thread);
    if (!busy()) print("END\n");
    leave(thread);
  }
  unlock();
}

void HalService(word number) {
  struct thread* thread = running(this_processor());
  const u32 table = number >> 12 & 3;
  if (table < kServiceTables && (number & 0xfff) < kServicesOfTable)
    ++((u32*)(word)thread->services)[table * kServicesOfTable + (number & 0xfff)];
  const struct step* step = awaited_step();
  if (step && step->pid == thread->pid && step->service == number) step_in_call(thread, step);
}

word HalWait(void) {
  struct thread* thread = running(this_processor());
  lock();
  print_counts(thread);
  thread->state = kWaiting;
  if (!busy()) print("END\n");
  leave(thread);
  unlock();
  forget_counts(thread);
  return 0;
}

word HalYield(void) {
  struct thread* thread = running(this_processor());
  lock();
  thread->state = kReady;
  leave(thread);
  unlock();
  return 0;
}

static void die(const struct trap* trap) {
  const struct thread* thread = running(this_processor());
  print_word("TRAP vector=0x", trap->vector, 16);
  print_word(" error=0x", trap->error, 16);
  print_word(" ip=0x", trap->ip, 16);
  print_word(" cs=0x", trap->cs, 16);
  print_word(" address=0x", page_fault_address(), 16);
  print_word(" pid=", thread ? thread->pid : 0, 10);
  print("\n");
  for (;;) __asm__ volatile("cli; hlt");
}

void HalTrap(struct trap* trap) {
  if (trap->vector != kClockVector) die(trap);
  *apic(kApicEnd) = 0;
  if (trap->cs & 3) HalYield();
}

// Processors

// The firmware leaves the old interrupt controllers on.
static void silence_pics(void) {
  out(0x21, 0xff);
  out(0xa1, 0xff);
}

static void start_clock(void) {
  *apic(kApicSpurious) = kApicOn;
  *apic(kApicTimerDivider) = 0xb;  // by 1
  *apic(kApicTimer) = kApicPeriodic | kClockVector;
  *apic(kApicTimerStart) = (u32)description()->tick;
}

static void idle(struct processor* processor) {
  for (;;) {
    lock();
    poll_serial();
    struct thread* next = find_ready(0);
    if (next) {
      set_current(processor, next);
      switch_stack(&processor->idle_stack_pointer, &next->stack_pointer);
    }
    unlock();
    if (!next) __asm__ volatile("sti; hlt; cli");
  }
}

// How many virtual processors QEMU was given. [QEMU docs/specs/fw_cfg, FW_CFG_NB_CPUS]
static u32 count_processors(void) {
  enum { kSelector = 0x510, kData = 0x511, kCount = 5 };
  out_word(kSelector, kCount);
  const u32 there = in(kData);
  const u32 wanted = (u32)description()->processor_count;
  return there < wanted ? there : wanted;
}

static void wait_a_little(void) {
  for (volatile int i = 0; i < 100000; ++i) __builtin_ia32_pause();
}

static void start_others(u32 count) {
  enum { kInit = 0x4500, kStart = 0x4600 | kStartPage };
  const u64 page = description()->physical_window + kStartPage * 0x1000;
  __builtin_memcpy((void*)(word)page, other_start, (word)(other_start_end - other_start));
  for (u32 i = 1; i < count; ++i) {
    *apic(kApicCommandHigh) = i << 24;
    *apic(kApicCommand) = kInit;
    wait_a_little();
    *apic(kApicCommandHigh) = i << 24;
    *apic(kApicCommand) = kStart;
    while (processors_started <= i) __builtin_ia32_pause();
  }
}

static void start_system(void) {
  silence_pics();
  serial_start();
  for (u32 i = 0; i < (u32)description()->thread_count; ++i) prepare(&threads()[i]);
  const u32 count = count_processors();
  lock();  // nobody runs before the truth is out
  start_others(count);
  print((const char*)(word)description()->truth);
  print_word("PROCESSORS ", count, 10);
  print("\nROUND 0\n");
  unlock();
}

// By boot*.S, on the boot stack of that processor, with interrupts off.
void start(u32 number);
void start(u32 number) {
  struct processor* processor = &processors()[number];
  load_tables(processor);
  set_current(processor, 0);
  __sync_fetch_and_add(&processors_started, 1);
  if (number == 0) start_system();
  start_clock();
  idle(processor);
}
