# The installed package: find_package(lora-train) gives lora::models, lora::adapters, … as the build has them.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(lora_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lora-train)

function(install_room name)
  install(TARGETS ${name} EXPORT lora-train
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/lora-train
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lora-train)
endfunction()

install(EXPORT lora-train FILE lora-train-targets.cmake NAMESPACE lora:: DESTINATION ${lora_package_dir})
# Rooms that were built with MPI need it where they are used.
if(TARGET MPI::MPI_C)
  set(lora_package_mpi ON)
else()
  set(lora_package_mpi OFF)
endif()
configure_package_config_file(cmake/lora-train-config.cmake.in ${PROJECT_BINARY_DIR}/lora-train-config.cmake
  INSTALL_DESTINATION ${lora_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lora-train-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lora-train-config.cmake ${PROJECT_BINARY_DIR}/lora-train-config-version.cmake
  cmake/Dependencies.cmake cmake/FindSentencePiece.cmake DESTINATION ${lora_package_dir})

# No system package has this build of sentencepiece, so it goes along.
install(FILES ${SentencePiece_LIBRARY} DESTINATION ${CMAKE_INSTALL_LIBDIR}/lora-train)
install(FILES ${SentencePiece_INCLUDE_DIR}/sentencepiece_processor.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lora-train)

# The bill of materials: the libraries with their versions on this machine, beside the programs.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/sbom.spdx.json
  COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/scripts/sbom ${PROJECT_BINARY_DIR}
  DEPENDS ${PROJECT_SOURCE_DIR}/scripts/sbom ${PROJECT_SOURCE_DIR}/scripts/setup
    ${PROJECT_SOURCE_DIR}/cmake/Dependencies.cmake VERBATIM)
add_custom_target(sbom ALL DEPENDS ${PROJECT_BINARY_DIR}/sbom.spdx.json)
install(FILES ${PROJECT_BINARY_DIR}/sbom.spdx.json DESTINATION ${CMAKE_INSTALL_BINDIR} OPTIONAL)
