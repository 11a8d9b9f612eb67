# The .BTF of btf_sample.c as gcc writes it. clang writes BTF only for its bpf target.
find_program(SWAT_GCC NAMES gcc gcc-12 REQUIRED)
find_program(SWAT_OBJCOPY NAMES objcopy REQUIRED)

function(build_btf_sample output)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/btf_sample.o)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${SWAT_GCC} -gbtf -c ${CMAKE_CURRENT_SOURCE_DIR}/btf_sample.c -o ${object}
    COMMAND ${SWAT_OBJCOPY} --dump-section .BTF=${output} ${object} /dev/null
    DEPENDS btf_sample.c btf_sample.h
    VERBATIM)
endfunction()
