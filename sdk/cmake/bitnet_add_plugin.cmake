# bitnet_add_plugin(NAME SOURCES entry.cpp [KERNELS fast.cpp CPU_FLAGS -mavx2 -mfma] [LIBRARIES ...])
#
# Makes the shared library NAME.so the way the ABI rules ask for: one exported symbol, hidden visibility, no undefined
# symbols, no contraction into FMA. SOURCES (entry and enumerate) are compiled for the baseline CPU, only KERNELS get
# CPU_FLAGS.
function(bitnet_add_plugin name)
  cmake_parse_arguments(ARG "" "" "SOURCES;KERNELS;CPU_FLAGS;LIBRARIES" ${ARGN})
  add_library(${name} MODULE ${ARG_SOURCES} ${ARG_KERNELS})
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so"
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS "${BITNET_SDK_VERSION_SCRIPT}")
  target_compile_options(${name} PRIVATE -ffp-contract=off -fno-fast-math)
  if(ARG_KERNELS AND ARG_CPU_FLAGS)
    set_source_files_properties(${ARG_KERNELS} PROPERTIES COMPILE_OPTIONS "${ARG_CPU_FLAGS}")
  endif()
  target_link_libraries(${name} PRIVATE bitnet::sdk ${ARG_LIBRARIES})
  target_link_options(${name} PRIVATE -Wl,--version-script=${BITNET_SDK_VERSION_SCRIPT} -Wl,-z,now)
  if(NOT BITNET_SANITIZE) # a sanitizer's runtime is resolved in the program
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  if(BITNET_PLUGIN_OUTPUT_DIR)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${BITNET_PLUGIN_OUTPUT_DIR})
    install(TARGETS ${name} LIBRARY DESTINATION ${BITNET_PLUGIN_SUBDIR} COMPONENT runtime)
  endif()
endfunction()
