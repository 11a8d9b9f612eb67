# PE files of both word sizes, with debug information (RSDS): build_pe_samples(<folder> <target>).
# clang and lld-link need no SDK for them. Without these two the tests that want samples skip.
find_program(SWAT_SAMPLE_CLANG NAMES clang-19 clang-16 clang-14 clang)
find_program(SWAT_SAMPLE_LLD_LINK NAMES lld-link)

# pe_link(<out.dll> <exports.def> [OPTIONS ...] INPUTS ...): the library, and what programs import it by.
function(pe_link out definition)
  cmake_parse_arguments(PARSE_ARGV 2 pe "" "" "OPTIONS;INPUTS")
  cmake_path(REPLACE_EXTENSION out lib OUTPUT_VARIABLE import_library)
  add_custom_command(
    OUTPUT ${out} ${import_library}
    COMMAND ${SWAT_SAMPLE_LLD_LINK} /nologo /dll /noentry /def:${definition} /implib:${import_library}
            ${pe_OPTIONS} ${pe_INPUTS} /out:${out}
    DEPENDS ${definition} ${pe_INPUTS} VERBATIM)
endfunction()

function(build_pe_samples folder target)
  if(NOT SWAT_SAMPLE_CLANG OR NOT SWAT_SAMPLE_LLD_LINK)
    message(STATUS "No clang with lld-link: no PE samples")
    add_custom_target(${target})
    return()
  endif()
  set(from ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
  set(made)
  foreach(arch x86_64 i686)
    foreach(source host sample)
      set(object ${folder}/${arch}-${source}.obj)
      add_custom_command(
        OUTPUT ${object}
        COMMAND ${SWAT_SAMPLE_CLANG} --target=${arch}-pc-windows-msvc -O1 -g -gcodeview -ffreestanding
                -c ${from}/${source}.c -o ${object}
        DEPENDS ${from}/${source}.c VERBATIM)
    endforeach()
    foreach(library host late)
      pe_link(${folder}/${arch}-${library}.dll ${from}/${library}.def INPUTS ${folder}/${arch}-host.obj)
    endforeach()
    pe_link(${folder}/${arch}-sample.dll ${from}/sample.def
            OPTIONS /debug /pdbaltpath:sample.pdb /delayload:late.dll
            INPUTS ${folder}/${arch}-sample.obj ${folder}/${arch}-host.lib ${folder}/${arch}-late.lib)
    list(APPEND made ${folder}/${arch}-sample.dll)
  endforeach()
  file(MAKE_DIRECTORY ${folder})
  add_custom_target(${target} DEPENDS ${made})
endfunction()
