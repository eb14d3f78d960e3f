// A directory with PEFT's adapter: adapter_config.json up to a NUL, and adapter_model.safetensors. The input's first byte
// selects the base, what a recipe has otherwise than the file, and the name of weights of no bytes. What is loaded is
// written, and loaded again to the same tensors.

#include "lora/adapters/initialise.h"
#include "lora/adapters/inject.h"
#include "lora/adapters/peft.h"
#include "models/io/same_values.h"
#include "models/network/pretrained.h"
#include "tests/fuzz/target.h"
#include "tests/golden.h"

namespace {

void change(lora::AdapterConfig& config, int what) {
  if (what == 1) config.use_rslora = !config.use_rslora;
  if (what == 2) config.alpha += 1;
  if (what == 3) config.trainable_token_indices.push_back(0);
  if (what == 4) config.ensure_weight_tying = !config.ensure_weight_tying;
  if (what == 5) config.method = "dora";
  if (what == 6) config.init = "pissa";
  if (what == 7) config.file.clear();
}

lora::AdaptedModel loaded_adapter(const std::filesystem::path& directory, const std::string& base, int what = 0) {
  lora::AdapterConfig config = lora::read_peft_config(directory).config;
  change(config, what);
  config.init_from = directory.string();
  const lora::HeadOptions head{.new_rows = lora::peft_rows(directory, config)};
  return lora::inject(lora::load_pretrained(lora::test::golden_model(base), "float32", head), config, 1);
}

}  // namespace

FUZZ_TARGET(adapter_directory) {
  if (input.empty()) return;
  constexpr const char* kBases[] = {"default", "qwen2", "tied", "biases"};
  constexpr const char* kOtherWeights[] = {"", "adapters.safetensors", "adapters.npz", "adapter_model.bin"};
  const auto choice = static_cast<unsigned char>(input[0]);
  const std::string base = kBases[choice % std::size(kBases)];
  const int what = choice >> 2 & 7;
  const auto [config, weights] = lora::test::split_input(input.substr(1));
  const auto read = lora::test::input_directory() / "read", written = lora::test::input_directory() / "written";
  for (const auto& directory : {read, written}) {
    std::filesystem::remove_all(directory);
    std::filesystem::create_directory(directory);
  }
  lora::test::write_input(read / lora::kPeftConfigFile, config);
  const std::string other = kOtherWeights[choice >> 5 & 3];
  if (!weights.empty()) lora::test::write_input(read / lora::kPeftWeightsFile, weights);
  if (weights.empty() && !other.empty()) lora::test::write_input(read / other, "");
  lora::expect_no_mlx_adapter(read);
  lora::AdaptedModel adapted = loaded_adapter(read, base, what);
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
