# A CUDA build of LibTorch. Its own TorchConfig.cmake asks for nvcc and CUDA's headers, of its own version, which a program
# without CUDA sources does not need: this one reaches the GPU through ATen's operations. So the target `torch` is made here
# of the same libraries.

# Sets Torch_FOUND, Torch_VERSION, TORCH_LIBRARY and TORCH_INCLUDE_DIRS and adds the target, if the first of these folders
# that holds a LibTorch holds a CUDA build. Folders: of TorchConfig.cmake, or prefixes of it.
macro(lora_find_cuda_torch)
  foreach(lora_folder ${ARGN})
    if(NOT EXISTS ${lora_folder}/TorchConfig.cmake)
      set(lora_folder ${lora_folder}/share/cmake/Torch)
    endif()
    if(NOT EXISTS ${lora_folder}/TorchConfig.cmake)
      continue()
    endif()
    cmake_path(SET lora_torch NORMALIZE ${lora_folder}/../../..)
    if(NOT EXISTS ${lora_torch}/lib/libtorch_cuda.so)
      break()
    endif()
    set(Torch_DIR ${lora_folder} CACHE PATH "The folder of TorchConfig.cmake" FORCE)
    file(STRINGS ${lora_folder}/TorchConfigVersion.cmake Torch_VERSION REGEX "PACKAGE_VERSION \"")
    string(REGEX REPLACE ".*\"([0-9.]+).*" "\\1" Torch_VERSION "${Torch_VERSION}")
    set(TORCH_INCLUDE_DIRS ${lora_torch}/include ${lora_torch}/include/torch/csrc/api/include)
    set(TORCH_LIBRARY ${lora_torch}/lib/libtorch.so)
    set(Torch_FOUND ON)
    if(NOT TARGET torch)
      add_library(torch SHARED IMPORTED)
      set_target_properties(torch PROPERTIES
        IMPORTED_LOCATION ${TORCH_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES "${TORCH_INCLUDE_DIRS}"
        # Nothing here names a symbol of the CUDA libraries, which add themselves to LibTorch when they are loaded.
        INTERFACE_LINK_LIBRARIES "-Wl,--no-as-needed;${lora_torch}/lib/libtorch_cuda.so;${lora_torch}/lib/libc10_cuda.so;\
-Wl,--as-needed;${lora_torch}/lib/libtorch_cpu.so;${lora_torch}/lib/libc10.so"
        # What these need in turn lies in folders of Python's packages, which they find themselves when they are loaded.
        INTERFACE_LINK_OPTIONS "LINKER:--allow-shlib-undefined")
    endif()
    message(STATUS "LibTorch ${Torch_VERSION} of ${lora_torch}, a CUDA build")
    break()
  endforeach()
endmacro()
