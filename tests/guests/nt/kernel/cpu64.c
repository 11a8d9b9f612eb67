// What only a 64-bit processor has.
#include "hal.h"

enum { kKernelGsBase = 0xc0000102u };

struct processor* this_processor(void) {
  struct processor* processor;
  // KPCR.HalReserved: free to the HAL on Windows, too.
  __asm__ volatile("mov %%gs:0xc0, %0" : "=r"(processor));
  return processor;
}

static void write_register(u64 number, u64 value) {
  __asm__ volatile("wrmsr" : : "c"((u32)number), "a"((u32)value), "d"((u32)(value >> 32)));
}

void load_tables(struct processor* p) {
  struct __attribute__((packed)) {
    u16 limit;
    u64 base;
  } gdt = {(u16)p->gdt_limit, p->gdt}, idt = {(u16)p->idt_limit, p->idt};
  __asm__ volatile("lgdt %0; lidt %1" : : "m"(gdt), "m"(idt));
  __asm__ volatile("push $0x10; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:" : : : "rax", "memory");
  __asm__ volatile("mov %0, %%ss; mov %1, %%ds; mov %1, %%es; mov %1, %%fs; mov %1, %%gs"
                   :
                   : "r"(0x18), "r"(0x2b));
  __asm__ volatile("ltr %0" : : "r"((u16)p->task_selector));
  for (const struct model_register* reg = p->registers; reg->number; ++reg)
    write_register(reg->number, reg->value);
  *(u64*)p->own_pointer = (u64)p;
}

void load_thread(struct processor* processor, const struct thread* thread) {
  write_register(kKernelGsBase, thread->teb);  // the user's until SWAPGS
  u8* descriptor = (u8*)processor->teb_descriptor;
  __builtin_memcpy(descriptor + 2, &thread->teb32, 3);
  descriptor[7] = (u8)(thread->teb32 >> 24);
  const u64 selector = (processor->teb_descriptor - processor->gdt) | 3;
  __asm__ volatile("mov %0, %%fs" : : "r"((u32)selector));  // a 32-bit program's
}

word page_fault_address(void) {
  word address;
  __asm__ volatile("mov %%cr2, %0" : "=r"(address));
  return address;
}

void set_page_tables(u64 tables) { __asm__ volatile("mov %0, %%cr3" : : "r"(tables) : "memory"); }
