# sentencepiece::sentencepiece: the static library that scripts/setup builds into .deps, or the one under
# SentencePiece_ROOT (lib/libsentencepiece.a, include/sentencepiece_processor.h).
#
# The system's folders are left out on purpose: a shared libsentencepiece exports FLAGS_minloglevel, which takes the
# place of libc10's variable of that name and makes the first TorchScript forward hang.

set(places ${SentencePiece_ROOT} $ENV{SentencePiece_ROOT} ${CMAKE_CURRENT_LIST_DIR}/../.deps/sentencepiece)
find_library(SentencePiece_LIBRARY libsentencepiece.a PATHS ${places} PATH_SUFFIXES lib NO_DEFAULT_PATH)
find_path(SentencePiece_INCLUDE_DIR sentencepiece_processor.h PATHS ${places} PATH_SUFFIXES include NO_DEFAULT_PATH)
mark_as_advanced(SentencePiece_LIBRARY SentencePiece_INCLUDE_DIR)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(SentencePiece REQUIRED_VARS SentencePiece_LIBRARY SentencePiece_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "Run scripts/setup, which builds it, or set SentencePiece_ROOT.")

if(SentencePiece_FOUND AND NOT TARGET sentencepiece::sentencepiece)
  find_package(Threads REQUIRED)
  add_library(sentencepiece::sentencepiece STATIC IMPORTED)
  set_target_properties(sentencepiece::sentencepiece PROPERTIES
    IMPORTED_LOCATION ${SentencePiece_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${SentencePiece_INCLUDE_DIR}
    INTERFACE_LINK_LIBRARIES Threads::Threads
    # Whatever links it, keep its symbols out of the program's own table, where libc10 would find them.
    INTERFACE_LINK_OPTIONS "LINKER:--exclude-libs,libsentencepiece.a")
endif()
