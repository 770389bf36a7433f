# bitnet_add_plugin(NAME SOURCES entry.cpp [KERNELS fast.cpp CPU_FLAGS -mavx2 -mfma] [LIBRARIES ...])
#
# Makes the shared library NAME.so the way the ABI rules ask for: one exported symbol, hidden visibility, no undefined
# symbols, no contraction into FMA. SOURCES (entry and enumerate) are compiled for the baseline CPU, only KERNELS get
# CPU_FLAGS. `cmake --install` puts it into lib/bitnet/plugins. What would break a rule is refused while configuring.
#
# BITNET_PLUGIN_OUTPUT_DIR, if set, is the folder to build into. Set to "" it means plugins of tests: any name, not installed.
#
# bitnet_check_plugin(NAME [options of bitnet-plugin-check]): the conformance kit on that plugin as the test check.NAME.

function(bitnet_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;KERNELS;CPU_FLAGS;LIBRARIES")
  set(for_tests OFF)
  if(DEFINED BITNET_PLUGIN_OUTPUT_DIR AND BITNET_PLUGIN_OUTPUT_DIR STREQUAL "")
    set(for_tests ON)
  endif()
  bitnet_judge_plugin_arguments_()
  bitnet_judge_inherited_flags_()

  add_library(${name} MODULE ${ARG_SOURCES} ${ARG_KERNELS})
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so" POSITION_INDEPENDENT_CODE ON
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.version")
  target_compile_options(${name} PRIVATE
    $<$<COMPILE_LANGUAGE:C,CXX>:-ffp-contract=off> $<$<COMPILE_LANGUAGE:C,CXX>:-fno-fast-math>
    $<$<COMPILE_LANGUAGE:CUDA>:-fmad=false> $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-ffp-contract=off>)
  if(ARG_CPU_FLAGS)
    set_source_files_properties(${ARG_KERNELS} PROPERTIES COMPILE_OPTIONS "${ARG_CPU_FLAGS}")
  endif()
  target_link_libraries(${name} PRIVATE bitnet::sdk ${ARG_LIBRARIES})
  if(TARGET bitnet::kit)
    target_link_libraries(${name} PRIVATE bitnet::kit)
  endif()
  target_link_options(${name} PRIVATE -Wl,--version-script=${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.version -Wl,-z,now)
  if(NOT BITNET_SANITIZE AND NOT "${CMAKE_C_FLAGS} ${CMAKE_CXX_FLAGS}" MATCHES "-fsanitize=")
    target_link_options(${name} PRIVATE -Wl,-z,defs)  # a sanitizer's runtime is resolved in the program
  endif()
  if(BITNET_PLUGIN_OUTPUT_DIR)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${BITNET_PLUGIN_OUTPUT_DIR})
  endif()
  if(NOT for_tests)
    install(TARGETS ${name} LIBRARY DESTINATION lib/bitnet/plugins COMPONENT runtime)
  endif()
endfunction()

# A macro, as enable_testing() works in the scope of a folder only.
macro(bitnet_check_plugin name)
  enable_testing()
  bitnet_add_check_(${name} ${ARGN})
endmacro()

function(bitnet_add_check_ name)
  if(NOT TARGET ${name})
    message(FATAL_ERROR "bitnet_check_plugin(${name}): there is no such target; call bitnet_add_plugin(${name} ...) first")
  endif()
  set(program bitnet-plugin-check)
  if(NOT TARGET bitnet-plugin-check)  # the plugin can be built all the same; its test fails
    message(WARNING "bitnet_check_plugin(${name}): the program bitnet-plugin-check is missing, expected in folder bin of the "
                    "SDK; install the component sdk for this machine")
    set(program ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/bitnet-plugin-check-is-missing)
  endif()
  add_test(NAME check.${name} COMMAND ${program} ${ARGN} $<TARGET_FILE:${name}>)
endfunction()

# ------------------------------------------------------------------------------------------------ what is refused
# Macros: they read the variables of bitnet_add_plugin and stop it with one sentence.

macro(bitnet_refuse_ text)
  message(FATAL_ERROR "bitnet_add_plugin(${name}): ${text}")
endmacro()

# Flags no source of a plugin may be compiled with, whoever gave them, each with its reason.
macro(bitnet_refuse_flags_ where)
  foreach(flag ${ARGN})
    if(flag MATCHES "^(-ffast-math|-Ofast|-funsafe-math-optimizations|-fassociative-math|-freciprocal-math|-ffinite-math-only|-ffp-contract=(fast|on))$")
      bitnet_refuse_("${where} contains ${flag}: results must not depend on the optimiser, and linking with fast-math turns off subnormals for the whole program (rule 6); remove it")
    elseif(flag MATCHES "^-fopenmp(=.*)?$")
      bitnet_refuse_("${where} contains ${flag}: threads are the runtime's, kernels see only ranges (rule 9); remove it")
    elseif(flag MATCHES "^-m(arch|cpu)=native$")
      bitnet_refuse_("${where} contains ${flag}: such a file runs on machines like this one only; name the features, for example CPU_FLAGS -mavx2 -mfma, and list them in the manifest under \"cpu\"")
    endif()
  endforeach()
endmacro()

macro(bitnet_judge_plugin_arguments_)
  if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux" OR NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
    bitnet_refuse_("plugins are built for 64-bit Linux; this is ${CMAKE_SYSTEM_NAME}")
  endif()
  if(NOT for_tests AND NOT "${name}" MATCHES "^bn_[a-z0-9_]+$")
    bitnet_refuse_("the name must be bn_ and then a-z, 0-9 or _, for example bn_acme: the runtime looks for files bn_*.so")
  endif()
  if(ARG_UNPARSED_ARGUMENTS)
    bitnet_refuse_("what is '${ARG_UNPARSED_ARGUMENTS}'? Expected SOURCES, KERNELS, CPU_FLAGS, LIBRARIES, each followed by its values")
  endif()
  if(NOT ARG_SOURCES)
    bitnet_refuse_("SOURCES is empty; it takes the files with manifest, entry and enumerate, which run on any CPU")
  endif()
  if(ARG_CPU_FLAGS AND NOT ARG_KERNELS)
    bitnet_refuse_("CPU_FLAGS without KERNELS; list the sources that may use these instructions under KERNELS")
  endif()
  foreach(source ${ARG_KERNELS})
    get_source_file_property(flags_so_far ${source} COMPILE_OPTIONS)
    if(source IN_LIST ARG_SOURCES)
      bitnet_refuse_("${source} is in SOURCES and in KERNELS; entry and enumerate run before the CPU is known, so they need a file of their own")
    elseif(flags_so_far AND NOT flags_so_far STREQUAL "${ARG_CPU_FLAGS}")
      bitnet_refuse_("${source} is already compiled with '${flags_so_far}' in this folder; give the second plugin a folder or a source of its own")
    endif()
  endforeach()
  foreach(flag ${ARG_CPU_FLAGS})
    if(NOT flag MATCHES "^-")
      bitnet_refuse_("CPU_FLAGS takes compiler flags; write -m${flag} instead of ${flag}")
    endif()
  endforeach()
  bitnet_refuse_flags_("CPU_FLAGS" ${ARG_CPU_FLAGS})
  foreach(library ${ARG_LIBRARIES})
    if(library MATCHES "^(OpenMP::|-fopenmp|(-l)?([gi]?omp|omp5)$)")
      bitnet_refuse_("LIBRARIES contains ${library}: threads are the runtime's, kernels see only ranges (rule 9); remove it")
    endif()
  endforeach()
endmacro()

# Flags that every source of the folder gets: CMAKE_CXX_FLAGS and add_compile_options().
macro(bitnet_judge_inherited_flags_)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
  foreach(variable CMAKE_C_FLAGS CMAKE_CXX_FLAGS CMAKE_C_FLAGS_${build_type} CMAKE_CXX_FLAGS_${build_type})
    separate_arguments(flags UNIX_COMMAND "${${variable}}")
    bitnet_refuse_flags_(${variable} ${flags})
    bitnet_refuse_isa_flags_(${variable} ${flags})
  endforeach()
  get_directory_property(flags COMPILE_OPTIONS)
  bitnet_refuse_flags_("add_compile_options()" ${flags})
  bitnet_refuse_isa_flags_("add_compile_options()" ${flags})
endmacro()

macro(bitnet_refuse_isa_flags_ where)
  foreach(flag ${ARGN})
    if(flag MATCHES "^-m(avx|sse[34]|ssse3|fma|f16c|bmi|popcnt|lzcnt|movbe)")
      bitnet_refuse_("${where} contains ${flag}: entry and enumerate run before the CPU is known (rule 7); move it to CPU_FLAGS, which only KERNELS get")
    endif()
  endforeach()
endmacro()
