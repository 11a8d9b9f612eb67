# Real ELF files of every architecture: build_elf_samples(<folder> <target>). clang and lld carry all
# of them, no sysroot is needed. Without these two the tests that want samples skip.
find_program(SWAT_SAMPLE_CLANG NAMES clang-19 clang-16 clang-14 clang)
find_program(SWAT_SAMPLE_LLD NAMES ld.lld)

set(sample_targets
  x86_64=x86_64-linux-gnu
  x32=x86_64-linux-gnux32
  i386=i386-linux-gnu
  arm=armv7-linux-gnueabihf
  thumb=thumbv7-linux-gnueabihf
  aarch64=aarch64-linux-gnu)

# Variants of the linker's way of laying out a library.
set(sample_gnu --hash-style=gnu,--build-id=sha1)
set(sample_sysv --hash-style=sysv,-z,now,-z,noseparate-code)
set(sample_both --hash-style=both,-Bsymbolic,--pack-dyn-relocs=relr)
set(sample_high --hash-style=gnu,--image-base=0xfff00000)

# Statically linked programs with a C library, one for each compiler that there is.
function(build_glibc_samples folder list)
  set(from ${PROJECT_SOURCE_DIR}/tests/guests/counted_functions.c)
  set(programs ${${list}})
  foreach(triple x86_64 i686 arm aarch64)
    find_program(SWAT_SAMPLE_GCC_${triple} NAMES ${triple}-linux-gnu-gcc ${triple}-linux-gnueabihf-gcc)
    if(SWAT_SAMPLE_GCC_${triple})
      set(out ${folder}/glibc-${triple}-static)
      add_custom_command(OUTPUT ${out} COMMAND ${SWAT_SAMPLE_GCC_${triple}} -O1 -static ${from} -o ${out}
                         DEPENDS ${from} VERBATIM)
      list(APPEND programs ${out})
    endif()
  endforeach()
  set(${list} ${programs} PARENT_SCOPE)
endfunction()

function(build_elf_samples folder target)
  if(NOT SWAT_SAMPLE_CLANG OR NOT SWAT_SAMPLE_LLD)
    message(STATUS "No clang with lld: no ELF samples of other architectures")
    add_custom_target(${target})
    return()
  endif()
  set(from ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
  set(made)
  foreach(row IN LISTS sample_targets)
    string(REPLACE "=" ";" row ${row})
    list(GET row 0 name)
    list(GET row 1 triple)
    set(compile ${SWAT_SAMPLE_CLANG} --target=${triple} -O1 -fPIC -ffreestanding -nostdlib
                -fuse-ld=lld -Wno-unused-command-line-argument)
    set(host ${folder}/${name}-host.so)
    add_custom_command(OUTPUT ${host} COMMAND ${compile} -shared ${from}/host.c -o ${host}
                       DEPENDS ${from}/host.c VERBATIM)
    foreach(variant gnu sysv both high)
      set(out ${folder}/${name}-${variant}.so)
      add_custom_command(
        OUTPUT ${out}
        COMMAND ${compile} -shared -Wl,-soname,libsample.so,${sample_${variant}}
                -Wl,--version-script=${from}/sample.map ${from}/sample.c ${host} -o ${out}
        DEPENDS ${host} ${from}/sample.c ${from}/sample.map VERBATIM)
      list(APPEND made ${out})
    endforeach()
    set(program ${folder}/${name}-static)
    add_custom_command(OUTPUT ${program}
                       COMMAND ${compile} -static -no-pie ${from}/program.c -o ${program}
                       DEPENDS ${from}/program.c VERBATIM)
    list(APPEND made ${program})
  endforeach()
  build_glibc_samples(${folder} made)
  file(MAKE_DIRECTORY ${folder})
  add_custom_target(${target} DEPENDS ${made})
endfunction()
