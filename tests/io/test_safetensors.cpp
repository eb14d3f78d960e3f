#include <ATen/ATen.h>

#include <cstring>
#include <functional>
#include <string>

#include "models/base/error.h"
#include "models/io/safetensors.h"
#include "tests/catch.h"
#include "tests/error_message.h"
#include "tests/temporary_directory.h"

namespace lora {
namespace {

using namespace test;

using namespace std::string_literals;

// Header and data as a file's bytes, with no check at all.
std::string file_bytes(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + header + data;
}

// The message of the error that reading these bytes gives; empty when they are read.
std::string read_error(const std::string& bytes) {
  const TemporaryDirectory directory;
  write_bytes(directory / "model.safetensors", bytes);
  try {
    const SafetensorsFile file(directory / "model.safetensors");
    for (const auto& entry : file.entries()) file.tensor(entry.first);
  } catch (const ModelError& error) {
    return error.what();
  }
  return {};
}

std::string header_error(const std::string& header, const std::string& data = {}) {
  return read_error(file_bytes(header, data));
}

// What Python's safetensors 0.8 writes for the tensors of python_tensors() with metadata {"format": "pt"}.
const std::string kPythonFile =
    file_bytes(R"({"__metadata__":{"format":"pt"},"scalar":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
               R"("b.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]},)"
               R"("a.bias":{"dtype":"BF16","shape":[2],"data_offsets":[32,36]},)"
               R"("empty":{"dtype":"F16","shape":[0,4],"data_offsets":[36,36]},)"
               R"("mask":{"dtype":"BOOL","shape":[3],"data_offsets":[36,39]}}   )",
               "\x07\0\0\0\0\0\0\0"
               "\0\0\0\0\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xa0\x40"
               "\xc0\x3f\0\xc0"
               "\x01\0\x01"s);

NamedTensors python_tensors() {
  return {{"b.weight", at::arange(6, at::kFloat).reshape({2, 3})},
          {"a.bias", at::tensor({1.5, -2.0}).to(at::kBFloat16)},
          {"mask", at::tensor({1, 0, 1}).to(at::kBool)},
          {"scalar", at::scalar_tensor(7, at::kLong)},
          {"empty", at::zeros({0, 4}, at::kHalf)}};
}

}  // namespace

TEST_CASE("a written safetensors file has the bytes of the Python library's", "[io]") {
  const TemporaryDirectory directory;
  write_safetensors(directory / "a", python_tensors(), {{"format", "pt"}});
  CHECK(read_bytes(directory / "a") == kPythonFile);
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("a safetensors file of the Python library reads back to its tensors", "[io]") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a", kPythonFile);
  const SafetensorsFile file(directory / "a");
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  REQUIRE(file.entries().size() == 5);
  CHECK(file.entries().at("b.weight").shape == std::vector<int64_t>{2, 3});
  CHECK(file.entries().at("b.weight").dtype == at::kFloat);
  CHECK(file.entries().at("b.weight").begin == 8);
  CHECK(file.entries().at("b.weight").end == 32);
  for (const auto& [name, tensor] : python_tensors()) {
    INFO(name);
    const at::Tensor read = file.tensor(name);
    CHECK(read.dtype() == tensor.dtype());
    CHECK(at::equal(read, tensor));
  }
}

TEST_CASE("every dtype of safetensors survives writing and reading", "[io]") {
  const TemporaryDirectory directory;
  const at::Tensor bits = at::randint(0, 2, {48}, at::kByte);
  NamedTensors tensors;
  for (const auto dtype :
       {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2, at::kLong, at::kInt,
        at::kShort, at::kChar, at::kUInt64, at::kUInt32, at::kUInt16, at::kByte, at::kBool}) {
    tensors.emplace_back(c10::toString(dtype), bits.view(dtype).clone());
  }
  write_safetensors(directory / "a", tensors);
  const SafetensorsFile file(directory / "a");
  REQUIRE(file.entries().size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    const at::Tensor read = file.tensor(name);
    REQUIRE(read.scalar_type() == tensor.scalar_type());
    CHECK(at::equal(read.view(at::kByte), bits));
  }
}

TEST_CASE("the order of the tensors does not change the file", "[io]") {
  const TemporaryDirectory directory;
  NamedTensors tensors = python_tensors();
  std::reverse(tensors.begin(), tensors.end());
  write_safetensors(directory / "a", tensors, {{"format", "pt"}});
  CHECK(read_bytes(directory / "a") == kPythonFile);
}

TEST_CASE("strided tensors and views are written as their values", "[io]") {
  const TemporaryDirectory directory;
  const at::Tensor matrix = at::arange(12, at::kFloat).reshape({3, 4});
  const at::Tensor leaf = matrix.clone().requires_grad_();
  const NamedTensors tensors = {{"transposed", matrix.t()},
                                {"slice", matrix.slice(1, 1, 3)},
                                {"expanded", matrix.select(0, 0).expand({5, 4})},
                                {"parameter", leaf}};
  write_safetensors(directory / "a", tensors);
  const SafetensorsFile file(directory / "a");
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    CHECK(at::equal(file.tensor(name), tensor));
  }
}

TEST_CASE("a tensor views the file and outlives the object that gave it", "[io]") {
  const TemporaryDirectory directory;
  write_safetensors(directory / "a", {{"w", at::arange(4, at::kFloat)}});
  at::Tensor tensor;
  {
    const SafetensorsFile file(directory / "a");
    tensor = file.tensor("w");
    CHECK(tensor.data_ptr() == file.tensor("w").data_ptr());
  }
  std::filesystem::remove(directory / "a");
  CHECK(at::equal(tensor, at::arange(4, at::kFloat)));
}

TEST_CASE("writing into a tensor that views the file leaves the file as it was", "[io]") {
  const TemporaryDirectory directory;
  write_safetensors(directory / "a", {{"w", at::arange(4, at::kFloat)}});
  const std::string before = read_bytes(directory / "a");
  const SafetensorsFile file(directory / "a");
  file.tensor("w").add_(1);
  CHECK(file.tensor("w")[0].item<float>() == 1.0f);
  CHECK(read_bytes(directory / "a") == before);
}

TEST_CASE("a tensor at an odd place of the file is copied, not viewed misaligned", "[io]") {
  const TemporaryDirectory directory;
  const float value = 2.5f;
  std::string data(sizeof(value), '\0');
  std::memcpy(data.data(), &value, sizeof(value));
  std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  while ((8 + header.size()) % 4 != 1) header += ' ';
  write_bytes(directory / "a", file_bytes(header, data));
  const at::Tensor tensor = SafetensorsFile(directory / "a").tensor("w");
  CHECK(reinterpret_cast<uintptr_t>(tensor.data_ptr()) % alignof(float) == 0);
  CHECK(tensor.item<float>() == value);
}

TEST_CASE("a file without tensors is a file", "[io]") {
  const TemporaryDirectory directory;
  write_safetensors(directory / "a", {});
  CHECK(SafetensorsFile(directory / "a").entries().empty());
}

TEST_CASE("a damaged safetensors file is an error that names what is wrong", "[io]") {
  using Catch::Matchers::Contains;
  const auto entry = [](const std::string& body) { return R"({"w":{)" + body + "}}"; };
  const std::string four(4, '\0');

  CHECK(header_error(entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), four).empty());
  CHECK_THAT(read_error(""), Contains("truncated"));
  CHECK_THAT(read_error("1234567"), Contains("truncated"));
  CHECK_THAT(read_error(std::string(8, '\0')), Contains("does not begin with '{'"));
  CHECK_THAT(read_error(std::string(8, '\xff')), Contains("header length of 18446744073709551615"));
  CHECK_THAT(read_error(kPythonFile.substr(0, 100)), Contains("truncated"));
  CHECK_THAT(read_error(kPythonFile.substr(0, kPythonFile.size() - 1)), Contains("'mask'") && Contains("truncated"));
  CHECK_THAT(read_error(kPythonFile + "x"), Contains("found 40 bytes of data, expected 39"));
  CHECK_THAT(header_error("[]"), Contains("does not begin with '{'"));
  CHECK_THAT(header_error("{"), Contains("not JSON, at byte 2"));
  CHECK_THAT(header_error("{\"\xff\":1}"), Contains("not JSON"));
  CHECK_THAT(header_error(R"({"w":1})"), Contains("'w'") && Contains("expected an object"));
  CHECK_THAT(header_error(R"({"__metadata__":{"a":1}})"), Contains("__metadata__"));
  for (const std::string metadata : {"[\"a\"]", "[]", "1", "\"a\"", "true"}) {
    CHECK_THAT(header_error(R"({"__metadata__":)" + metadata + "}"), Contains("__metadata__"));
  }
  CHECK(header_error(R"({"__metadata__":null})").empty());  // as the Python library has it
  CHECK_THAT(header_error(std::string("{}\0{}", 5)), Contains("not JSON, at byte 3"));
  CHECK_THAT(header_error(R"({"w":{"a":)" + std::string(100000, '[') + std::string(100000, ']') + "}}"),
             Contains("nested deeper"));
  CHECK_THAT(header_error(R"({"w":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                          R"("w":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})",
                          four),
             Contains("'w' is there twice"));
  CHECK_THAT(header_error(entry(R"("dtype":"F32","dtype":"I32","shape":[],"data_offsets":[0,4])"), four),
             Contains("'dtype' is there twice"));

  CHECK_THAT(header_error(entry(R"("shape":[1],"data_offsets":[0,4])"), four), Contains("no 'dtype'"));
  CHECK_THAT(header_error(entry(R"("dtype":"F33","shape":[1],"data_offsets":[0,4])"), four),
             Contains("'w'") && Contains("'F33'") && Contains("BF16"));
  CHECK_THAT(header_error(entry(R"("dtype":1,"shape":[1],"data_offsets":[0,4])"), four), Contains("dtype"));
  for (const std::string shape : {"1", "[-1]", "[1.0]", "[\"1\"]", "[9223372036854775808]", "[1e30]", "null"}) {
    CHECK_THAT(header_error(entry(R"("dtype":"F32","data_offsets":[0,4],"shape":)" + shape), four),
               Contains("found a shape that"));
  }
  for (const std::string offsets : {"4", "[0]", "[0,4,4]", "[-4,0]", "[0.0,4.0]", "{}"}) {
    CHECK_THAT(header_error(entry(R"("dtype":"F32","shape":[1],"data_offsets":)" + offsets), four),
               Contains("data_offsets"));
  }
  CHECK_THAT(header_error(entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), four),
             Contains("end before begin"));
  CHECK_THAT(header_error(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), four),
             Contains("found 4 bytes, expected 8"));
  CHECK_THAT(header_error(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), four), Contains("truncated"));
  CHECK_THAT(header_error(entry(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0])")),
             Contains("more than a file can hold"));
  CHECK_THAT(header_error(entry(R"("dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0])")),
             Contains("more than a file can hold"));
  CHECK_THAT(header_error(entry(R"("dtype":"BOOL","shape":[1],"data_offsets":[0,1])"), "\x02"), Contains("BOOL"));

  const auto two = [](const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  CHECK(header_error(two("[0,4]", "[4,8]"), four + four).empty());
  CHECK_THAT(header_error(two("[0,4]", "[3,7]"), four + four), Contains("'b'") && Contains("begin at 4"));
  CHECK_THAT(header_error(two("[0,4]", "[5,9]"), four + four + "x"), Contains("'b'") && Contains("begin at 4"));
  CHECK_THAT(header_error(two("[1,5]", "[5,9]"), four + four + "x"), Contains("'a'") && Contains("begin at 0"));
}

TEST_CASE("a missing file, a directory and a missing tensor are errors that name them", "[io]") {
  using Catch::Matchers::Contains;
  const TemporaryDirectory directory;
  CHECK_THAT(error_message([&] { SafetensorsFile(directory / "none.safetensors"); }),
             Contains("none.safetensors") && Contains("No such file"));
  CHECK_THAT(error_message([&] { SafetensorsFile(directory.path()); }), Contains("is a directory"));
  CHECK_THAT(error_message([&] { SafetensorsFile("/dev/null"); }), Contains("not a regular file"));
  write_bytes(directory / "a", kPythonFile);
  CHECK_THAT(error_message([&] { SafetensorsFile(directory / "a").tensor("lm_head.weight"); }),
             Contains("lm_head.weight"));
}

TEST_CASE("tensors that safetensors cannot hold are refused and nothing is written", "[io]") {
  using Catch::Matchers::Contains;
  const TemporaryDirectory directory;
  const at::Tensor tensor = at::ones(1);
  const auto refusal = [&](const NamedTensors& tensors) {
    return error_message([&] { write_safetensors(directory / "a", tensors); });
  };
  CHECK_THAT(refusal({{"w", tensor}, {"w", tensor}}), Contains("'w'") && Contains("twice"));
  CHECK_THAT(refusal({{"__metadata__", tensor}}), Contains("reserved"));
  CHECK_THAT(refusal({{"w", at::Tensor()}}), Contains("undefined"));
  CHECK_THAT(refusal({{"w", tensor.to_sparse()}}), Contains("sparse"));
  CHECK_THAT(refusal({{"w", tensor.to(at::kComplexFloat)}}), Contains("ComplexFloat"));
  CHECK_THAT(refusal({{"\xff", tensor}}), Contains("UTF-8"));
  CHECK(std::filesystem::is_empty(directory.path()));
}

}  // namespace lora
