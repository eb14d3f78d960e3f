# What the project's own targets are made of: rooms (one static library a folder), programs, one precompiled header.

# add_room(NAME [NO_PCH] [LINKS target...] [PRIVATE target...]): one library a folder, from the folder's own sources.
# A source file is picked up by being there, so that adding a method or a format is a file and its line of registration.
# LINKS is what the room's headers show, PRIVATE what only its sources use. The room is installed with its headers.
function(add_room name)
  cmake_parse_arguments(ROOM "NO_PCH" "" "LINKS;PRIVATE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
  add_library(${name} STATIC ${sources})
  add_library(lora::${name} ALIAS ${name})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME lora_${name})
  target_sources(${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${headers})
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_link_libraries(${name} PUBLIC ${ROOM_LINKS} PRIVATE ${ROOM_PRIVATE})
  lora_compile_options(${name})
  lora_join_sources(${name})
  if(NOT ROOM_NO_PCH)
    lora_use_pch(${name})
  endif()
  install_room(${name})
  lora_check_headers(${name} ${headers})
endfunction()

# add_program(NAME LINKS target...): an executable from NAME.cpp (dashes as underscores) beside it, at the top of the
# build folder, installed into bin. The target `programs` is all of them.
#
# An installed program looks for libraries beside itself (those of a tarball), in the torch of the Python environment that
# it was installed into (a wheel), in /opt/libtorch (a package), and last where this build has them.
add_custom_target(programs)
include(GNUInstallDirs)
# In the build folder the first of these is a link to LibTorch. (A path of its own for the build would end with a colon,
# which CMake adds to exchange it at the installation, and behind which the loader takes the working directory.)
get_filename_component(lora_torch_folder ${TORCH_LIBRARY} DIRECTORY)
file(CREATE_LINK ${lora_torch_folder} ${PROJECT_BINARY_DIR}/libtorch SYMBOLIC)
set(lora_rpath "$ORIGIN/libtorch" "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/lora-train" "$ORIGIN/../../torch/lib" /opt/libtorch/lib
  $<TARGET_FILE_DIR:torch>)
if(IS_DIRECTORY "${LORA_PARQUET}")
  list(APPEND lora_rpath ${LORA_PARQUET})
endif()
function(add_program name)
  cmake_parse_arguments(PROGRAM "" "" "LINKS" ${ARGN})
  string(REPLACE "-" "_" source ${name}.cpp)
  add_executable(${name} ${source})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}
    INSTALL_RPATH "${lora_rpath}" BUILD_WITH_INSTALL_RPATH ON)
  target_link_libraries(${name} PRIVATE ${PROGRAM_LINKS})
  lora_compile_options(${name})
  lora_use_pch(${name})
  add_dependencies(programs ${name})
  install(TARGETS ${name} RUNTIME COMPONENT programs)
endfunction()

# LORA_JOIN: sources that are compiled as one, since each of them alone reads the same headers first. 0: every source
# on its own, for quick builds after a change. Names local to a file have to be unique in their room.
set(LORA_JOIN 16 CACHE STRING "Sources that are compiled as one; 0: none")
function(lora_join_sources name)
  if(LORA_JOIN)
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${LORA_JOIN})
  endif()
endfunction()

# lora_check_headers(NAME header...): makes the target `headers` compile each of these headers as a source of its own, as
# a source of the target NAME. The precompiled header is there, so that what it holds need not be included.
add_custom_target(headers)
function(lora_check_headers name)
  # cpu/*-inl.h are parts of the sources that compile them once an instruction set.
  list(FILTER ARGN EXCLUDE REGEX "-inl\\.h$")
  set(sources)
  foreach(header ${ARGN})
    cmake_path(RELATIVE_PATH header BASE_DIRECTORY ${PROJECT_SOURCE_DIR})
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/headers/${header}.cpp CONTENT "#include \"${header}\"\n")
    list(APPEND sources ${PROJECT_BINARY_DIR}/headers/${header}.cpp)
  endforeach()
  if(NOT LORA_TESTS OR NOT sources)
    return()
  endif()
  add_library(${name}_headers OBJECT EXCLUDE_FROM_ALL ${sources})
  foreach(property INCLUDE_DIRECTORIES COMPILE_DEFINITIONS COMPILE_OPTIONS LINK_LIBRARIES)
    set_property(TARGET ${name}_headers PROPERTY ${property} $<TARGET_PROPERTY:${name},${property}>)
  endforeach()
  get_target_property(pch ${name} PRECOMPILE_HEADERS_REUSE_FROM)
  if(pch)
    target_precompile_headers(${name}_headers REUSE_FROM ${pch})
  endif()
  add_dependencies(headers ${name}_headers)
endfunction()

function(lora_compile_options name)
  target_compile_options(${name} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
    # GCC 12's optimizer suspects std::string, std::optional, nlohmann::json and LibTorch's SmallVector of faults that
    # they do not have (its bugs 105651 and 105562).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict;-Wno-stringop-overflow;-Wno-array-bounds;-Wno-maybe-uninitialized>
    $<$<BOOL:${LORA_WERROR}>:-Werror>)
endfunction()

# The precompiled header is compiled once for the rooms and once for their tests: LibTorch's headers alone take longer than most
# sources. It holds no more than most sources need, since what it instantiates is instantiated again in each of them:
# with these headers a source starts at 3 s (GCC 12), with torch/torch.h at 7 s, without any at 15 s. A source with
# machine flags of its own sets SKIP_PRECOMPILE_HEADERS, as the header was compiled without them.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/lora_pch.cpp CONTENT "")
# What ccache needs: of GCC the header's name in the preprocessed text, of Clang a header without its time.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
  set(LORA_PCH_FLAGS -fpch-preprocess)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  set(LORA_PCH_FLAGS "SHELL:-Xclang -fno-pch-timestamp")
endif()

# lora_precompile(NAME [FLAG...]): the target NAME, which compiles the header with these flags.
function(lora_precompile name)
  add_library(${name} OBJECT ${PROJECT_BINARY_DIR}/lora_pch.cpp)
  target_link_libraries(${name} PRIVATE torch nlohmann_json::nlohmann_json)
  target_precompile_headers(${name} PRIVATE
    <torch/csrc/autograd/custom_function.h> <torch/nn/module.h> <nlohmann/json.hpp>
    <algorithm> <cmath> <cstdint> <filesystem> <fstream> <functional> <map> <memory> <numeric> <optional> <set> <sstream>
    <string> <string_view> <unordered_map> <utility> <variant> <vector>)
  lora_compile_options(${name})
  target_compile_options(${name} PRIVATE ${LORA_PCH_FLAGS} ${ARGN})
endfunction()
lora_precompile(lora_pch)

# lora_use_pch(TARGET [PRECOMPILED [FLAG...]]): with the flags that it was compiled with; by default the rooms'.
function(lora_use_pch name)
  list(POP_FRONT ARGN precompiled)
  if(NOT precompiled)
    set(precompiled lora_pch)
  endif()
  target_precompile_headers(${name} REUSE_FROM ${precompiled})
  target_compile_options(${name} PRIVATE ${LORA_PCH_FLAGS} ${ARGN})
endfunction()
