# cmake -DBUILD_DIR=… -DSOURCE_DIR=… -DCOMPILER=… -P run.cmake: installs the build, then configures, builds and runs
# the project in SOURCE_DIR against what was installed. The documented program trains the quickstart's model.

set(work ${BUILD_DIR}/consumer)
set(quickstart ${SOURCE_DIR}/../../recipes/quickstart)
file(REMOVE_RECURSE ${work})
foreach(command
    "${CMAKE_COMMAND};--install;${BUILD_DIR};--prefix;${work}/prefix"
    "${CMAKE_COMMAND};-S;${SOURCE_DIR};-B;${work}/build;-DCMAKE_PREFIX_PATH=${work}/prefix;-DCMAKE_CXX_COMPILER=${COMPILER}"
    "${CMAKE_COMMAND};--build;${work}/build"
    "${work}/build/consumer"
    "${work}/build/documented;${quickstart}/model;${quickstart}/data/train.jsonl;${work}/adapter"
    "${work}/prefix/bin/lora-train;--version")
  execute_process(COMMAND ${command} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN command " " line)
    message(FATAL_ERROR "${line}\n${output}")
  endif()
endforeach()
if(NOT EXISTS ${work}/adapter/adapter_model.safetensors)
  message(FATAL_ERROR "the documented program wrote no adapter")
endif()
message("${output}")
file(REMOVE_RECURSE ${work})
