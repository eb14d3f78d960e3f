// GGUF: our bytes are those of PyPI's gguf package, a file read back is what was written, and damage is an error.

#include "models/io/gguf.h"

#include <ATen/ATen.h>

#include <random>

#include "models/base/error.h"
#include "models/io/safetensors.h"
#include "tests/catch.h"
#include "tests/file_size_limit.h"
#include "tests/paths.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;

namespace {

using Catch::Matchers::Contains;

const std::filesystem::path kGolden = source_dir() / "tests/golden/gguf";
constexpr GgmlType kTypes[] = {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16, GgmlType::kQ8_0};

GgufTensor tensor(const std::string& name, const at::Tensor& value, GgmlType type = GgmlType::kF32) {
  return {{name, value.scalar_type(), value.sizes().vec(), [value] { return value; }}, type};
}

// What scripts/make_golden_gguf.py gives to the package.
GgufMetadata golden_metadata() {
  return {{"general.architecture", "llama"},
          {"test.uint8", uint8_t{200}},
          {"test.int8", int8_t{-100}},
          {"test.uint16", uint16_t{60000}},
          {"test.int16", int16_t{-30000}},
          {"test.uint32", uint32_t{4000000000}},
          {"test.int32", int32_t{-2000000000}},
          {"test.float32", 0.1f},
          {"test.bool", true},
          {"test.string", "größer"},
          {"test.uint64", uint64_t{1} << 63},
          {"test.int64", -(int64_t{1} << 62)},
          {"test.float64", 0.1},
          {"test.strings", std::vector<std::string>{"a", "", "▁b"}},
          {"test.floats", std::vector<float>{0.5f, -1.0f}},
          {"test.ints", std::vector<int32_t>{1, -2, 3}}};
}

std::vector<GgufTensor> golden_tensors() {
  const at::Tensor values = at::arange(-64, 64, at::kFloat).view({2, 64}) / 8;
  return {tensor("in.f32", values), tensor("in.f16", values, GgmlType::kF16),
          tensor("in.bf16", values, GgmlType::kBF16), tensor("in.q8_0", values, GgmlType::kQ8_0),
          tensor("odd", at::arange(3, at::kFloat))};
}

std::string encoded(const at::Tensor& values, GgmlType type) {
  std::string bytes(ggml_bytes(type, values.numel()), '\0');
  REQUIRE(ggml_encode(type, {values.const_data_ptr<float>(), static_cast<size_t>(values.numel())},
                      reinterpret_cast<std::byte*>(bytes.data())));
  return bytes;
}

std::string model_error(const std::filesystem::path& path) {
  try {
    const GgufFile file(path);
    for (const auto& [name, entry] : file.entries()) file.tensor(name);
  } catch (const ModelError& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("numbers are encoded in the bytes of ggml's own quantizer") {
  const SafetensorsFile golden(kGolden / "numbers.safetensors");
  const at::Tensor values = golden.tensor("values");
  for (const GgmlType type : kTypes) {
    const at::Tensor wanted = golden.tensor(std::string(ggml_name(type)));
    INFO(ggml_name(type));
    CHECK(encoded(values, type) ==
          std::string(static_cast<const char*>(wanted.const_data_ptr()), static_cast<size_t>(wanted.numel())));
  }
}

TEST_CASE("every type of metadata and tensor is written in the bytes of the gguf package, and read back") {
  const TemporaryDirectory directory;
  write_gguf(directory / "ours.gguf", golden_metadata(), golden_tensors());
  CHECK(read_bytes(directory / "ours.gguf") == read_bytes(kGolden / "every_type.gguf"));
  const GgufFile file(kGolden / "every_type.gguf");
  CHECK((file.metadata() == golden_metadata()));
  CHECK(file.entries().size() == 5);
  CHECK(file.value<uint32_t>("test.uint32") == 4000000000);
  CHECK_THROWS_AS(file.value<float>("test.uint32"), ModelError);
  CHECK_THROWS_AS(file.value<float>("test.nothing"), ModelError);
  for (const GgufTensor& wanted : golden_tensors()) {
    const at::Tensor value = wanted.source.make();
    const at::Tensor found = file.tensor(wanted.source.name);
    REQUIRE(found.sizes() == value.sizes());
    // The values are eighths, which all but Q8_0 hold exactly.
    const double bound = wanted.type == GgmlType::kQ8_0 ? 8.0 / 127 / 2 + 1e-3 : 0;
    CHECK((found - value).abs().max().item<double>() <= bound);
  }
}

TEST_CASE("a value that is decoded and encoded again stays as it is") {
  const at::Tensor values = at::randn({3000, 32}, at::make_generator<at::CPUGeneratorImpl>(7)) * 5;
  for (const GgmlType type : kTypes) {
    const std::string once = encoded(values, type);
    at::Tensor decoded = at::empty_like(values);
    ggml_decode(type, reinterpret_cast<const std::byte*>(once.data()),
                {decoded.mutable_data_ptr<float>(), static_cast<size_t>(decoded.numel())});
    const double bound = type == GgmlType::kF32 ? 0 : type == GgmlType::kF16 ? 1e-3 : 1e-2;
    CHECK((decoded - values).abs().max().item<double>() <= bound * values.abs().max().item<double>());
    // A Q8_0 scale is rounded to F16, so that the largest of a block may fall on another scale the second time.
    if (type != GgmlType::kQ8_0) CHECK(encoded(decoded, type) == once);
  }
}

TEST_CASE("a tensor larger than a piece, of another dtype or strided is written as its values") {
  const TemporaryDirectory directory;
  const at::Tensor large = at::arange(1200 * 1024, at::kFloat).view({1200, 1024}).remainder(251);
  const at::Tensor turned = large.t();
  write_gguf(directory / "a.gguf", {},
             {tensor("large", large.to(at::kBFloat16), GgmlType::kF16), tensor("turned", turned, GgmlType::kBF16),
              tensor("four", large.view({2, 600, 32, 32}))});
  const GgufFile file(directory / "a.gguf");
  CHECK(file.tensor("large").equal(large));
  CHECK(file.tensor("turned").equal(turned));
  CHECK(file.tensor("four").equal(large.view({2, 600, 32, 32})));
}

TEST_CASE("what GGUF cannot hold is refused, and leaves no file") {
  const TemporaryDirectory directory;
  const auto path = directory / "a.gguf";
  const at::Tensor row = at::ones({33});
  CHECK_THROWS_AS(write_gguf(path, {}, {tensor("a", row), tensor("a", row)}), ModelError);
  CHECK_THROWS_AS(write_gguf(path, {{"k", true}, {"k", false}}, {}), ModelError);
  CHECK_THROWS_AS(write_gguf(path, {}, {tensor("a", row, GgmlType::kQ8_0)}), ModelError);
  CHECK_THROWS_AS(write_gguf(path, {}, {tensor(std::string(64, 'n'), row)}), ModelError);
  CHECK_THROWS_AS(write_gguf(path, {}, {tensor("a", at::ones({1, 1, 1, 1, 1}))}), ModelError);
  CHECK_THROWS_AS(write_gguf(path, {}, {tensor("a", row * 1e5, GgmlType::kF16)}), NumericsError);
  CHECK_THROWS_AS(write_gguf(path, {}, {tensor("a", at::full({32}, 1e7), GgmlType::kQ8_0)}), NumericsError);
  {
    const FileSizeLimit limit(256);
    CHECK_THROWS_AS(write_gguf(path, golden_metadata(), golden_tensors()), StorageError);
  }
  CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("a damaged GGUF file is an error that names it, wherever the damage is") {
  const TemporaryDirectory directory;
  const std::string whole = read_bytes(kGolden / "every_type.gguf");
  write_bytes(directory / "none.gguf", "PK");
  CHECK_THAT(model_error(directory / "none.gguf"), Contains("none.gguf: is not a GGUF file"));
  std::string other = whole;
  other[4] = 1;
  write_bytes(directory / "old.gguf", other);
  CHECK_THAT(model_error(directory / "old.gguf"), Contains("is of GGUF version 1; expected 2 or 3"));
  for (size_t size = 0; size < whole.size(); size += size < 0x320 ? 1 : 97) {
    write_bytes(directory / "short.gguf", whole.substr(0, size));
    INFO(size);
    CHECK_THAT(model_error(directory / "short.gguf"), Contains("short.gguf: "));
  }
  std::mt19937 random(5);
  for (int i = 0; i < 3000; ++i) {
    std::string changed = whole;
    for (int j = 0; j < 3; ++j) changed[random() % 0x320] = static_cast<char>(random() % 3 ? 0xff : random());
    write_bytes(directory / "changed.gguf", changed);
    model_error(directory / "changed.gguf");  // any outcome but a ModelError or a value is a failure
  }
}
