#include "lora/export/gguf_model.h"

#include <ATen/ATen.h>

#include <set>

#include "lora/export/gguf_architecture.h"
#include "models/base/error.h"
#include "models/io/same_values.h"

namespace lora {
namespace {

class GgufWeight final : public PackedWeight {
 public:
  GgufWeight(std::shared_ptr<const GgufFile> file, std::shared_ptr<const ModelConfig> config, std::string name,
             int64_t out, int64_t in, at::ScalarType dtype)
      : file_(std::move(file)), config_(std::move(config)), name_(std::move(name)), out_(out), in_(in), dtype_(dtype) {}
  int64_t out_features() const override { return out_; }
  int64_t in_features() const override { return in_; }
  at::ScalarType dtype() const override { return dtype_; }
  at::Device device() const override { return at::kCPU; }
  void unpack(at::Tensor& to) const override {
    to.copy_(from_gguf_rows(*config_, name_, file_->tensor(gguf_name(*config_, name_))));
  }

 private:
  std::shared_ptr<const GgufFile> file_;
  std::shared_ptr<const ModelConfig> config_;
  std::string name_;
  int64_t out_, in_;
  at::ScalarType dtype_;
};

class GgufLinear final : public Linear {
 public:
  GgufLinear(std::shared_ptr<const PackedWeight> weight, at::Tensor bias)
      : weight_(std::move(weight)), bias_(std::move(bias)) {}
  at::Tensor forward(const at::Tensor& x) override {
    return at::linear(x, weight_handle().for_product(x.scalar_type()), bias_);
  }
  WeightHandle weight_handle() const override { return weight_; }
  at::Tensor bias_vector() const override { return bias_; }

 private:
  std::shared_ptr<const PackedWeight> weight_;
  at::Tensor bias_;
};

}  // namespace

std::shared_ptr<LlamaForCausalLM> load_gguf(const std::filesystem::path& path, const LlamaForCausalLM& like) {
  const auto file = std::make_shared<const GgufFile>(path);
  const auto fail = [&](const std::string& what) { throw ModelError(path.string() + ": " + what); };
  const auto config = std::make_shared<const ModelConfig>(config_of(*file, like.config()));
  if (const std::string& name = file->value<std::string>("general.architecture");
      name != gguf_architecture(*config).name) {
    fail("'general.architecture' is " + name + "; expected " + gguf_architecture(*config).name);
  }
  std::set<std::string> expected;
  const auto expect = [&](const std::string& name, at::IntArrayRef shape) {
    const auto found = file->entries().find(gguf_name(*config, name));
    if (found == file->entries().end()) fail("tensor '" + gguf_name(*config, name) + "' is missing");
    if (at::IntArrayRef(found->second.shape) != shape) {
      fail("tensor '" + gguf_name(*config, name) + "' is " + c10::str(at::IntArrayRef(found->second.shape)) +
           "; expected " + c10::str(shape));
    }
    expected.insert(found->first);
  };
  const WeightSource weights = [&](const std::string& name, at::IntArrayRef shape) {
    expect(name, shape);
    const at::Tensor rows = from_gguf_rows(*config, name, file->tensor(gguf_name(*config, name)));
    return (rows - gguf_offset(*config, name)).to(like.dtype());
  };
  const LinearSource linears = [&](const std::string& linear, int64_t out, int64_t in,
                                   bool bias) -> std::shared_ptr<Linear> {
    expect(linear + ".weight", {out, in});
    return std::make_shared<GgufLinear>(
        std::make_shared<GgufWeight>(file, config, linear + ".weight", out, in, like.dtype()),
        bias ? weights(linear + ".bias", {out}) : at::Tensor());
  };
  auto model = std::make_shared<LlamaForCausalLM>(*config, like.dtype(), weights, linears);
  if (const at::Tensor divisors = gguf_rope_divisors(*config); divisors.defined()) {
    expected.insert("rope_freqs.weight");
    if (!same_values(file->tensor("rope_freqs.weight"), divisors))
      fail("tensor 'rope_freqs.weight' is another than expected");
  }
  for (const auto& [name, entry] : file->entries()) {
    if (!expected.contains(name)) fail("tensor '" + name + "' is not expected");
  }
  return model;
}

}  // namespace lora
