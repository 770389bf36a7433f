# find_package(bitnet-sdk 0.1 REQUIRED): targets bitnet::sdk, bitnet::kit, bitnet::portable, and the functions
# bitnet_add_plugin() and bitnet_check_plugin(). Every path is relative to this file, so the package may be moved.
get_filename_component(bitnet_sdk_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
include("${CMAKE_CURRENT_LIST_DIR}/bitnet_sdk_targets.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/bitnet_add_plugin.cmake")
bitnet_sdk_targets("${bitnet_sdk_prefix}/include" "${bitnet_sdk_prefix}/share/bitnet-sdk/src")
if(NOT TARGET bitnet-plugin-check AND EXISTS "${bitnet_sdk_prefix}/bin/bitnet-plugin-check")
  add_executable(bitnet-plugin-check IMPORTED GLOBAL)
  set_target_properties(bitnet-plugin-check PROPERTIES IMPORTED_LOCATION "${bitnet_sdk_prefix}/bin/bitnet-plugin-check")
endif()
set(BITNET_SDK_TEMPLATES "${bitnet_sdk_prefix}/share/bitnet-sdk/template")
unset(bitnet_sdk_prefix)
