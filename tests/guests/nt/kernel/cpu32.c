// What only a 32-bit processor has.
#include "hal.h"

struct processor* this_processor(void) {
  struct processor* processor;
  // KPCR.HalReserved: free to the HAL on Windows, too.
  __asm__ volatile("mov %%fs:0x94, %0" : "=r"(processor));
  return processor;
}

static void write_register(const struct model_register* reg) {
  __asm__ volatile("wrmsr" : : "c"((u32)reg->number), "A"(reg->value));
}

void load_tables(struct processor* p) {
  struct __attribute__((packed)) {
    u16 limit;
    u32 base;
  } gdt = {(u16)p->gdt_limit, (u32)p->gdt}, idt = {(u16)p->idt_limit, (u32)p->idt};
  __asm__ volatile("lgdt %0; lidt %1" : : "m"(gdt), "m"(idt));
  __asm__ volatile("ljmp $8, $1f; 1: mov %0, %%ss; mov %1, %%ds; mov %1, %%es; mov %2, %%fs"
                   :
                   : "r"(0x10), "r"(0x23), "r"((u32)p->pcr_selector)
                   : "memory");
  __asm__ volatile("ltr %0" : : "r"((u16)p->task_selector));
  for (const struct model_register* reg = p->registers; reg->number; ++reg) write_register(reg);
  *(u32*)(u32)p->own_pointer = (u32)p;
}

void load_thread(struct processor* processor, const struct thread* thread) {
  u8* descriptor = (u8*)(u32)processor->teb_descriptor;
  const u32 teb = (u32)thread->teb;
  __builtin_memcpy(descriptor + 2, &teb, 3);
  descriptor[7] = (u8)(teb >> 24);
  // FS is loaded with it when the thread gets back to user mode.
}

word page_fault_address(void) {
  word address;
  __asm__ volatile("mov %%cr2, %0" : "=r"(address));
  return address;
}

void set_page_tables(u64 tables) {
  __asm__ volatile("mov %0, %%cr3" : : "r"((u32)tables) : "memory");
}
