// A program that knows LibTorch and nothing of this project: reads an exported file and prints what it computes.
//
//   plain_torchscript MODEL.pt ID …        a line a token: the logits after it; then the greedy continuation's ids

#include <torch/script.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  torch::jit::Module model = torch::jit::load(argv[1]);
  model.eval();
  std::vector<int64_t> ids;
  for (int i = 2; i < argc; ++i) ids.push_back(std::atoll(argv[i]));
  const at::Tensor input = torch::tensor(ids, torch::kLong).unsqueeze(0);
  const torch::NoGradGuard no_grad;
  const at::Tensor logits = model.forward({input}).toTensor()[0].to(torch::kDouble);
  for (int64_t i = 0; i < logits.size(0); ++i) {
    for (int64_t j = 0; j < logits.size(1); ++j) std::printf("%.9g ", logits[i][j].item<double>());
    std::printf("\n");
  }
  const at::Tensor more = model.get_method("generate")({input, 8}).toTensor()[0];
  for (int64_t i = 0; i < more.size(0); ++i) std::printf("%lld ", static_cast<long long>(more[i].item<int64_t>()));
  std::printf("\n");
  return 0;
}
