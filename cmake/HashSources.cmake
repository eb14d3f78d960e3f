# cmake -DFILES=a;b -DOUTPUT=PATH -P HashSources.cmake: a C++ source that holds the SHA-256 of the files, for
# lora/data/source_hash.h.
set(all "")
foreach(file ${FILES})
  file(SHA256 ${file} hash)
  string(APPEND all ${hash})
endforeach()
string(SHA256 hash "${all}")
file(WRITE ${OUTPUT} "#include \"lora/data/source_hash.h\"\n\nconst char* const lora::kSourceHash = \"${hash}\";\n")
