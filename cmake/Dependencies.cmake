# Every outside library, once, with the reason it is here. The installed package reads this file too.

list(PREPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})  # FindSentencePiece.cmake

# LibTorch: Torch_DIR and CMAKE_PREFIX_PATH come first; then the active Python's torch, then the project's own .venv.
# The folder is asked for without importing torch, which would take seconds.
if(NOT Torch_DIR)
  foreach(python python3 ${CMAKE_CURRENT_LIST_DIR}/../.venv/bin/python3)
    execute_process(
      COMMAND ${python} -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
      OUTPUT_VARIABLE lora_python_torch OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE lora_no_torch)
    if(lora_no_torch EQUAL 0)
      list(APPEND lora_torch_hints ${lora_python_torch})
    endif()
  endforeach()
endif()
include(${CMAKE_CURRENT_LIST_DIR}/CudaTorch.cmake)
lora_find_cuda_torch(${Torch_DIR} ${CMAKE_PREFIX_PATH} ${lora_torch_hints})
if(NOT Torch_FOUND)
  set(lora_log_level ${CMAKE_MESSAGE_LOG_LEVEL})
  set(CMAKE_MESSAGE_LOG_LEVEL ERROR)  # LibTorch warns of profilers that it was built without
  find_package(Torch 2.6 QUIET HINTS ${lora_torch_hints})  # tensors, kernels, autograd, TorchScript
  set(CMAKE_MESSAGE_LOG_LEVEL ${lora_log_level})
endif()
if(NOT Torch_FOUND OR Torch_VERSION VERSION_LESS 2.6)
  message(FATAL_ERROR "LibTorch 2.6 or later not found: run scripts/setup, or set Torch_DIR to its share/cmake/Torch")
endif()
if(TORCH_CXX_FLAGS MATCHES "_GLIBCXX_USE_CXX11_ABI=0")
  message(FATAL_ERROR "${Torch_DIR} is a LibTorch of the old C++ ABI, which no other library here has: "
    "take one built with the C++11 ABI (every Linux wheel of torch since 2.7), or run scripts/setup")
endif()

find_package(nlohmann_json 3.10 REQUIRED)         # config.json, JSONL, metrics, manifests
find_package(yaml-cpp REQUIRED)                   # recipes, with line and column
find_package(CLI11 REQUIRED)                      # argument parsing
find_package(spdlog REQUIRED)                     # log lines, in lora/log alone
find_package(OpenSSL REQUIRED COMPONENTS Crypto)  # SHA-256 of checkpoint files
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)  # Perl-compatible regexes, as target_modules needs
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)  # Unicode categories and NFC, for tokenizers
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)  # data files packed with it
pkg_check_modules(EDIT QUIET IMPORTED_TARGET libedit)  # editing and history in a chat, where it is there
find_package(ZLIB REQUIRED)                       # data files packed with gzip, and the cache's checksums
find_package(hwy 1.0 REQUIRED)                   # SIMD kernels for every instruction set, chosen at run time
find_package(SentencePiece REQUIRED)              # tokenizer.model

if(NOT TARGET yaml-cpp::yaml-cpp)  # its name since yaml-cpp 0.8
  add_library(yaml-cpp::yaml-cpp ALIAS yaml-cpp)
endif()

# MPI of version 3.1 or later, in its C form: Open MPI or MPICH, the one whose mpirun is used. AUTO: where it is found.
if(LORA_MPI AND NOT TARGET MPI::MPI_C)
  enable_language(C)  # FindMPI finds the form of each language that is enabled
  if(LORA_MPI STREQUAL AUTO)
    find_package(MPI 3.1 QUIET COMPONENTS C)
  else()
    find_package(MPI 3.1 REQUIRED COMPONENTS C)
  endif()
endif()

# Parquet data files, where asked for: ON takes a system's Arrow; a folder is that of PyPI's pyarrow, whose wheel has
# Arrow's headers and libraries, these by their full names alone:
#   -DLORA_PARQUET=$(python3 -c "import pyarrow; print(pyarrow.get_library_dirs()[0])")
set(LORA_PARQUET OFF CACHE STRING "Read Parquet: ON with a system's Arrow, or the folder of pyarrow")
if(IS_DIRECTORY "${LORA_PARQUET}" AND NOT TARGET lora_parquet)
  foreach(name arrow parquet)
    file(GLOB lora_library ${LORA_PARQUET}/lib${name}.so.[0-9]*)
    if(NOT lora_library)
      message(FATAL_ERROR "LORA_PARQUET: ${LORA_PARQUET} has no lib${name}.so.*; wanted ON, or the folder of pyarrow")
    endif()
    list(GET lora_library 0 lora_library)
    add_library(lora_${name}_library SHARED IMPORTED)
    set_target_properties(lora_${name}_library PROPERTIES IMPORTED_LOCATION ${lora_library})
  endforeach()
  add_library(lora_parquet INTERFACE IMPORTED)
  target_include_directories(lora_parquet SYSTEM INTERFACE ${LORA_PARQUET}/include)
  target_link_libraries(lora_parquet INTERFACE lora_parquet_library lora_arrow_library)
elseif(LORA_PARQUET AND NOT TARGET lora_parquet)
  find_package(Arrow REQUIRED)
  find_package(Parquet REQUIRED)
  add_library(lora_parquet INTERFACE IMPORTED)
  target_link_libraries(lora_parquet INTERFACE Parquet::parquet_shared Arrow::arrow_shared)
endif()
