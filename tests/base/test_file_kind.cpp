#include "models/base/file_kind.h"

#include <string>
#include <utility>
#include <vector>

#include "tests/catch.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::StartsWith;
using namespace std::string_literals;

TEST_CASE("a file that was given in place of another is told by its first bytes") {
  const std::vector<std::pair<std::string, std::string>> table = {
      // git lfs pointer (github.com/git-lfs/git-lfs, docs/spec.md)
      {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "a Git LFS pointer"},
      {"/annex/objects/SHA256E-s5--aa.bin\n", "a git-annex pointer"},
      {"PK\x03\x04\x00\x00\x08\x08"s, "a zip file"},                 // torch.save since 1.6
      {"\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19."s, "a pickle"},  // torch.save before
      {"\x80\x04\x95\x10\x00\x00\x00"s, "a pickle"},
      {"GGUF\x03\x00\x00\x00"s, "a GGUF file"},
      {"\x89HDF\r\n\x1a\n"s, "an HDF5 file"},
      {"PAR1\x15\x04", "a Parquet file"},
      {"  \n<!DOCTYPE html><html>", "an HTML page"},
      {"<html lang=\"en\">", "an HTML page"},
      {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "XML"},
      {"Entry not found", "the answer of the Hugging Face Hub"},
      {"\x1f\x8b\x08\x00"s, "packed by gzip"},
      {"%PDF-1.7", "a PDF file"},
      {std::string(64, '\0'), "a file of zeros"},
  };
  for (const auto& [bytes, kind] : table) CHECK_THAT(file_kind(bytes), StartsWith(kind));
}

TEST_CASE("text, JSON and the length of a safetensors header are no other kind") {
  for (const std::string& bytes :
       {""s, "{\"a\": 1}"s, "prompt,completion\n"s, "[1, 2]"s, "GGUF,size\n"s, "BZh,count\n"s, "<|im_start|>user"s,
        "\x80\x02\x00\x00\x00\x00\x00\x00{\"w\""s, "\x80\x04\x00\x00\x00\x00\x00\x00{}"s, "\n\x0e\n\x05<unk>"s}) {
    CHECK(file_kind(bytes).empty());
  }
}

TEST_CASE("a file's kind is read from disk, and none is told of one that is not there") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.safetensors", "version https://git-lfs.github.com/spec/v1\n");
  CHECK_THAT(file_kind_of(directory / "a.safetensors"), StartsWith("a Git LFS pointer"));
  CHECK(file_kind_of(directory / "nowhere").empty());
  CHECK(file_kind_of(directory.path()).empty());
}

}  // namespace
}  // namespace lora::test
