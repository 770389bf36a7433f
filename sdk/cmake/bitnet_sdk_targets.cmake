# bitnet_sdk_targets(INCLUDE_DIR SRC_DIR): the SDK's targets, the same in this tree and from the installed package.
#
#   bitnet::sdk       the C headers: C99 and later, C++17 and later
#   bitnet::kit       the header-only C++20 kit                          (projects with C++)
#   bitnet::portable  every op ready to use, built from source on demand  (projects with C++)
#
# Built with the author's compiler, so the package holds no binary that could not fit to it.
function(bitnet_sdk_targets include src)
  if(TARGET bitnet_sdk)
    return()
  endif()
  add_library(bitnet_sdk INTERFACE)
  add_library(bitnet::sdk ALIAS bitnet_sdk)
  target_include_directories(bitnet_sdk INTERFACE ${include})

  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if(NOT CXX IN_LIST languages)
    return()
  endif()
  add_library(bitnet_kit INTERFACE)
  add_library(bitnet::kit ALIAS bitnet_kit)
  target_link_libraries(bitnet_kit INTERFACE bitnet_sdk)
  target_compile_features(bitnet_kit INTERFACE cxx_std_20)

  bitnet_portable_library_(bitnet_portable ${src})
  add_library(bitnet::portable ALIAS bitnet_portable)
endfunction()

# The library of the ops under a name; more: flags behind the usual ones.
function(bitnet_portable_library_ name src)
  add_library(${name} STATIC EXCLUDE_FROM_ALL ${src}/portable_baseline.cpp ${src}/portable_fma.cpp)
  target_link_libraries(${name} PUBLIC bitnet_kit)
  target_compile_options(${name} PRIVATE -O3 -ffp-contract=off -fno-fast-math ${ARGN})
  set_target_properties(${name} PROPERTIES CXX_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set_source_files_properties(${src}/portable_fma.cpp TARGET_DIRECTORY ${name}
      PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
  endif()
endfunction()
