# PDB files as lld-link writes them, of both word sizes: build_pdb_samples(<folder> <target>).
find_program(SWAT_PDB_CLANG NAMES clang-19 clang-16 clang-14 clang REQUIRED)
find_program(SWAT_PDB_LLD_LINK NAMES lld-link REQUIRED)

function(build_pdb_samples folder target)
  set(from ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
  set(made)
  foreach(arch x86_64 i686)
    foreach(source sample.c classes.cpp)
      cmake_path(GET source STEM name)
      set(stem ${folder}/${arch}-${name})
      add_custom_command(
        OUTPUT ${stem}.dll ${stem}.pdb
        COMMAND ${SWAT_PDB_CLANG} --target=${arch}-pc-windows-msvc -g -gcodeview -fstandalone-debug
                -ffreestanding -c ${from}/${source} -o ${stem}.obj
        COMMAND ${SWAT_PDB_LLD_LINK} /nologo /dll /noentry /debug /force:unresolved ${stem}.obj
                /pdb:${stem}.pdb /out:${stem}.dll
        DEPENDS ${from}/${source} ${from}/members.inc VERBATIM)
      list(APPEND made ${stem}.pdb)
    endforeach()
  endforeach()
  file(MAKE_DIRECTORY ${folder})
  add_custom_target(${target} DEPENDS ${made})
endfunction()
