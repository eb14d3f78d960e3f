# The installed package: find_package(lora-train) gives lora::models, lora::adapters, … as the build has them.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(lora_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lora-train)

function(install_room name)
  install(TARGETS ${name} EXPORT lora-train
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/lora-train COMPONENT development
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lora-train COMPONENT development)
endfunction()

install(EXPORT lora-train FILE lora-train-targets.cmake NAMESPACE lora:: DESTINATION ${lora_package_dir}
  COMPONENT development)
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
  cmake/CudaTorch.cmake cmake/Dependencies.cmake cmake/FindSentencePiece.cmake DESTINATION ${lora_package_dir}
  COMPONENT development)

# Recipes to start from, with the quickstart's model and data: lora-train finds them beside itself.
install(DIRECTORY recipes/ DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/lora-train/recipes COMPONENT programs)

# No system package has this build of sentencepiece, so it goes along.
install(FILES ${SentencePiece_LIBRARY} DESTINATION ${CMAKE_INSTALL_LIBDIR}/lora-train COMPONENT development)
install(FILES ${SentencePiece_INCLUDE_DIR}/sentencepiece_processor.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lora-train COMPONENT development)

# The bill of materials: the libraries with their versions on this machine, beside the programs.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/sbom.spdx.json
  COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/scripts/sbom ${PROJECT_BINARY_DIR}
  DEPENDS ${PROJECT_SOURCE_DIR}/scripts/sbom ${PROJECT_SOURCE_DIR}/scripts/setup
    ${PROJECT_SOURCE_DIR}/cmake/Dependencies.cmake VERBATIM)
add_custom_target(sbom ALL DEPENDS ${PROJECT_BINARY_DIR}/sbom.spdx.json)
install(FILES ${PROJECT_BINARY_DIR}/sbom.spdx.json DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/lora-train
  COMPONENT programs OPTIONAL)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/lora-train COMPONENT programs)

# cpack -G DEB: the programs as a package. LibTorch is no package of Debian's: it is found in /opt/libtorch, or where the
# build had it.
set(CPACK_PACKAGE_NAME lora-train)
set(CPACK_PACKAGE_CONTACT "lora-train")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_DESCRIPTION "Programs to fine-tune, export and serve models with LoRA adapters, and recipes to start from.
 They need LibTorch ${Torch_VERSION} in /opt/libtorch, or in LD_LIBRARY_PATH.")
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL programs)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_NAME lora-train)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
get_filename_component(lora_torch_libraries ${Torch_DIR}/../../../lib ABSOLUTE)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${lora_torch_libraries})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
# Packages take what is built, and build no tests for it.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
include(CPack)
