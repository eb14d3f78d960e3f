// A directory with PEFT's adapter: adapter_config.json up to a NUL, and adapter_model.safetensors. The input's first byte
// selects the base. What is loaded is written, and loaded again to the same tensors.

#include "lora/adapters/initialise.h"
#include "lora/adapters/inject.h"
#include "lora/adapters/peft.h"
#include "models/io/same_values.h"
#include "models/network/pretrained.h"
#include "tests/fuzz/target.h"
#include "tests/golden.h"

namespace {

lora::AdaptedModel loaded_adapter(const std::filesystem::path& directory, const std::string& base) {
  lora::AdapterConfig config = lora::read_peft_config(directory).config;
  config.init_from = directory.string();
  const lora::HeadOptions head{.new_rows = lora::peft_rows(directory, config)};
  return lora::inject(lora::load_pretrained(lora::test::golden_model(base), "float32", head), config, 1);
}

}  // namespace

FUZZ_TARGET(adapter_directory) {
  if (input.empty()) return;
  constexpr const char* kBases[] = {"default", "qwen2", "tied", "biases"};
  const std::string base = kBases[static_cast<unsigned char>(input[0]) % std::size(kBases)];
  const auto [config, weights] = lora::test::split_input(input.substr(1));
  const auto read = lora::test::input_directory() / "read", written = lora::test::input_directory() / "written";
  for (const auto& directory : {read, written}) {
    std::filesystem::remove_all(directory);
    std::filesystem::create_directory(directory);
  }
  lora::test::write_input(read / lora::kPeftConfigFile, config);
  if (!weights.empty()) lora::test::write_input(read / lora::kPeftWeightsFile, weights);
  lora::expect_no_mlx_adapter(read);
  lora::AdaptedModel adapted = loaded_adapter(read, base);
  if (lora::starts_from_base(adapted.config) || adapted.model->config().new_rows > 0) return;
  lora::write_peft(written, adapted, base);
  const auto tensors = lora::trained_tensors(adapted);
  const lora::AdaptedModel again = loaded_adapter(written, base);
  const auto found = lora::trained_tensors(again);
  if (found.size() != tensors.size()) ::abort();
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].first != tensors[i].first || !lora::same_values(found[i].second, tensors[i].second)) ::abort();
  }
  lora::copy_trained_tensors(again, adapted);
}
