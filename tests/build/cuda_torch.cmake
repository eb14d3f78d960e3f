# Configures a build with a CUDA build of LibTorch on a machine without CUDA, and links and starts a program of it. That
# LibTorch is this one, with empty libraries in the place of those that reach a GPU.
#
#   cmake -DSOURCE=… -DTORCH=(prefix of LibTorch) -DCXX=(compiler) -DFOLDER=(written) -P cuda_torch.cmake

set(fake ${FOLDER}/torch)
file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${fake}/lib)
file(GLOB libraries RELATIVE ${TORCH} ${TORCH}/lib/*.so*)
foreach(part include share ${libraries})
  file(CREATE_LINK ${TORCH}/${part} ${fake}/${part} SYMBOLIC)
endforeach()
foreach(name torch_cuda c10_cuda)
  execute_process(COMMAND ${CXX} -shared -x c++ /dev/null -o ${fake}/lib/lib${name}.so COMMAND_ERROR_IS_FATAL ANY)
endforeach()
execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${FOLDER}/build -G Ninja -DCMAKE_BUILD_TYPE=Release
  -DCMAKE_CXX_COMPILER=${CXX} -DTorch_DIR=${fake}/share/cmake/Torch OUTPUT_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
if(NOT said MATCHES "a CUDA build")
  message(FATAL_ERROR "this LibTorch was not taken for a CUDA build: ${said}")
endif()
execute_process(COMMAND ${CMAKE_COMMAND} --build ${FOLDER}/build --target plain_torchscript COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${FOLDER}/build/tests/plain_torchscript RESULT_VARIABLE code)
if(NOT code EQUAL 2)  # it has no arguments
  message(FATAL_ERROR "the program that is linked with it ends with ${code}")
endif()
