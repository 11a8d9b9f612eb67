#include "btf_sample.h"

struct task_struct sample;
atomic_t sample_counter;
