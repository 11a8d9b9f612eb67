// COM1.
#pragma once

#include "hal.h"

void serial_start(void);
void print(const char* text);
void print_number(u64 number, unsigned base);
int serial_read(void);  // a character, or -1
