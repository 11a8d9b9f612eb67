// Which program a process runs, by its stack alone.
//
// execve writes the path that it was given to the very top of the new stack, below one word of
// zeros; argument and environment strings are below that. [setup_arg_pages(), copy_strings_kernel()
// of bprm->filename in fs/exec.c, Linux 2.4 to 6.12] It is there until the next execve, in forked
// children as well, unless the program overwrites it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "osmodels/linux/mapped_images.hpp"

namespace swat::os {

struct ProgramPath {
  std::string path;  // as execve was given it: perhaps relative, or a link, or a script
  Va stack_top;      // exclusive
};

// `word_bytes` is of the kernel's words. Nullopt: the top of the stack is not there, or not so.
[[nodiscard]] std::optional<ProgramPath> find_program_path(VirtualMemory& memory,
                                                           const UserPages& pages,
                                                           unsigned word_bytes);

// What the kernel calls the process after execve, so that it is called the same with its structures
// and without. [begin_new_exec() in fs/exec.c]
[[nodiscard]] std::string_view command_name(std::string_view path);

}  // namespace swat::os
