// A directory with a model: config.json, model.safetensors.index.json and a file of weights, which is the rest of the
// input. The first byte says under which names, and how it is loaded. A part is up to a NUL, and a part that is empty is a
// file that is not there.

#include <ATen/ATen.h>

#include "models/network/pretrained.h"
#include "tests/fuzz/target.h"

namespace {

// Keeps the weights as they are.
lora::Quantizer dense_quantizer() {
  return [](const std::string&, const at::Tensor& weight, const at::Tensor& bias, const lora::ModelForm& form) {
    return std::make_shared<lora::DenseLinear>(
        weight.to(form.device, form.dtype, /*non_blocking=*/false, /*copy=*/true), bias);
  };
}

}  // namespace

FUZZ_TARGET(model_directory) {
  if (input.empty()) return;
  constexpr const char* kNames[] = {"model.safetensors", "model-00001-of-00002.safetensors", "pytorch_model.bin"};
  const auto choice = static_cast<unsigned char>(input[0]);
  const auto [config, rest] = lora::test::split_input(input.substr(1));
  const auto [index, weights] = lora::test::split_input(rest);
  const auto directory = lora::test::input_directory() / "model";
  std::filesystem::remove_all(directory);
  std::filesystem::create_directory(directory);
  const auto put = [&](const char* name, std::string_view bytes) {
    if (!bytes.empty()) lora::test::write_input(directory / name, bytes);
  };
  put("config.json", config);
  put("model.safetensors.index.json", index);
  put(kNames[choice % std::size(kNames)], weights);
  if (choice & 8) put("model-00002-of-00002.safetensors", weights);
  if (!lora::weight_files(directory).empty() && !lora::has_weights(directory)) ::abort();
  // A small file may describe a model of any size, whose weights are then not there.
  lora::HeadOptions head;
  if (choice & 0x80) head.labels = {"a", "b"};
  if (choice & 0x10) head.new_rows = lora::drawn_rows(7, lora::NewRowsInit::kCovariance, 1);
  const std::string dtype = lora::dtype_names().known[choice >> 5 & 3];
  const auto quantizer = (choice & 7) > 2 ? dense_quantizer() : lora::Quantizer();
  const auto model = lora::load_pretrained(directory, dtype, head, quantizer);
  if (dtype != "auto" && dtype != "float16" && lora::dtype_name(model->dtype()) != dtype) ::abort();
  if (model->dtype() == at::kHalf) return;  // of a device
  const at::NoGradGuard no_grad;
  model->eval();
  model->forward(at::zeros({1, 2}, at::kLong));
  // The file has all its weights, so that it is small.
  lora::make_random(directory, dtype, 1, head.labels, quantizer)->forward(at::zeros({1, 2}, at::kLong));
  lora::make_meta(directory, dtype, head.labels, quantizer);
}
