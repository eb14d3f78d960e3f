#include "models/engine/aten/flash_attention.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>
#include <variant>
#include <vector>

#include "models/engine/aten/operations.h"
#include "models/engine/devices.h"

namespace lora::aten {
namespace {

constexpr const char* kForward = "aten::_flash_attention_forward";
constexpr const char* kBackward = "aten::_flash_attention_backward";

using Arguments = std::map<std::string, c10::IValue>;

// The arguments in the order of the operation's schema, or what is missing of them. Those that are not given have their
// defaults.
std::variant<std::vector<c10::IValue>, std::string> in_order(const c10::OperatorHandle& op, const Arguments& given) {
  std::vector<c10::IValue> all;
  for (const c10::Argument& argument : op.schema().arguments()) {
    if (const auto found = given.find(argument.name()); found != given.end()) {
      all.push_back(found->second);
    } else if (argument.default_value()) {
      all.push_back(*argument.default_value());
    } else {
      return "this LibTorch's has an argument '" + argument.name() + "' that is not known here";
    }
  }
  return all;
}

std::vector<c10::IValue> call(const char* name, const Arguments& given) {
  const auto op = c10::Dispatcher::singleton().findSchema({name, ""});
  TORCH_CHECK(op, name, " is not there");
  auto arguments = in_order(*op, given);
  if (const auto* problem = std::get_if<std::string>(&arguments)) TORCH_CHECK(false, name, ": ", *problem);
  auto& stack = std::get<std::vector<c10::IValue>>(arguments);
  op->callBoxed(stack);
  return std::move(stack);
}

bool has_kernel(const char* name, at::Device device) {
  const auto op = c10::Dispatcher::singleton().findSchema({name, ""});
  const at::DispatchKey key = device.is_cuda() ? at::DispatchKey::CUDA : at::DispatchKey::PrivateUse1;
  return op && op->hasKernelForDispatchKey(key);
}

// Where each sequence begins, and where the last one ends.
at::Tensor bounds_of(const Sequences& sequences, at::Device device) {
  if (sequences.bounds.defined()) return sequences.bounds;
  std::vector<int32_t> bounds = {0};
  for (const int64_t length : sequences.lengths) bounds.push_back(bounds.back() + static_cast<int32_t>(length));
  return on_device(at::tensor(bounds, at::kInt), device);
}

at::Tensor heads_of_columns(const at::Tensor& qkv, int64_t first, int64_t count, const HeadLayout& layout) {
  return qkv.narrow(1, first * layout.dim, count * layout.dim).view({qkv.size(0), count, layout.dim});
}

// What both directions are called with.
Arguments shared_arguments(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                           const AttentionScores& scores) {
  const at::Tensor bounds = bounds_of(sequences, qkv.device());
  const int64_t longest = std::ranges::max(sequences.lengths);
  // By LibTorch's rule a window is not "causal", but has no token on the right.
  const bool limited = scores.window != 0;
  return {{"query", heads_of_columns(qkv, 0, layout.heads, layout)},
          {"key", heads_of_columns(qkv, layout.heads, layout.kv_heads, layout)},
          {"value", heads_of_columns(qkv, layout.heads + layout.kv_heads, layout.kv_heads, layout)},
          {"cum_seq_q", bounds},
          {"cum_seq_k", bounds},
          {"max_q", longest},
          {"max_k", longest},
          {"dropout_p", 0.0},
          {"is_causal", !limited},
          {"scale", scores.scale},
          {"window_size_left", limited ? scores.window - 1 : int64_t{-1}},
          {"window_size_right", int64_t{0}}};
}

double difference(const at::Tensor& found, const at::Tensor& expected) {
  const at::Tensor wide = expected.to(at::kFloat);
  return ((found.to(at::kFloat) - wide).norm() / wide.norm()).item<double>();
}

// Forward and backward beside the table's own, on random samples. Draws from no shared generator.
std::string self_check(at::Device device, at::ScalarType dtype, const HeadLayout& layout,
                       const AttentionScores& scores) try {
  const at::NoGradGuard no_grad;
  Sequences sequences;
  sequences.lengths = {3, 70, 129};
  const int64_t tokens = 3 + 70 + 129;
  at::Generator generator = at::detail::createCPUGenerator(1);
  const auto random = [&](int64_t columns) {
    return at::empty({tokens, columns}, at::kFloat).normal_(0, 1, generator).to(device, dtype);
  };
  const at::Tensor qkv = random(layout.width()), dout = random(layout.heads * layout.dim);
  const AttentionResult own = plain_attention(qkv, sequences, layout, scores);
  const AttentionResult flash = flash_attention(qkv, sequences, layout, scores);
  const at::Tensor own_gradient = plain_attention_backward(qkv, sequences, layout, scores, own, dout);
  const at::Tensor gradient = flash_attention_backward(qkv, sequences, layout, scores, flash, dout);
  constexpr double kBound = 3e-2;  // several roundings to bfloat16
  const double forward = difference(flash.out, own.out), backward = difference(gradient, own_gradient);
  if (forward < kBound && backward < kBound) return "";
  return "it differs by " + std::to_string(forward) + " forward and " + std::to_string(backward) + " backward";
} catch (const c10::Error& error) {
  return error.what_without_backtrace();
}

}  // namespace

std::string flash_attention_problem(at::Device device, at::ScalarType dtype, const HeadLayout& layout,
                                    const AttentionScores& scores) {
  if (dtype != at::kBFloat16 && dtype != at::kHalf) return "it is for bfloat16 and float16";
  if (scores.softcap != 0) return "it has no soft cap";
  if (layout.dim % 8 != 0 || layout.dim > 256) return "heads have a size of " + std::to_string(layout.dim);
  if (!has_kernel(kForward, device) || !has_kernel(kBackward, device)) return "LibTorch has none for this device";
  using Shape = std::tuple<std::string, at::ScalarType, int64_t, int64_t, int64_t, int64_t>;
  static std::mutex mutex;
  static std::map<Shape, std::string> checked;
  const std::lock_guard<std::mutex> lock(mutex);
  const Shape shape{device.str(), dtype, layout.heads, layout.kv_heads, layout.dim, scores.window};
  const auto found = checked.find(shape);
  if (found != checked.end()) return found->second;
  return checked.emplace(shape, self_check(device, dtype, layout, scores)).first->second;
}

bool flash_attends(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                   const AttentionScores& scores) {
  if (qkv.is_cpu() || qkv.is_meta() || std::ranges::any_of(sequences.known, [](int64_t n) { return n > 0; })) {
    return false;
  }
  return flash_attention_problem(qkv.device(), qkv.scalar_type(), layout, scores).empty();
}

AttentionResult flash_attention(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                const AttentionScores& scores) {
  Arguments arguments = shared_arguments(qkv, sequences, layout, scores);
  arguments["return_debug_mask"] = false;
  const std::vector<c10::IValue> results = call(kForward, arguments);
  return {results[0].toTensor().reshape({qkv.size(0), -1}), results[1].toTensor()};
}

at::Tensor flash_attention_backward(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                    const AttentionScores& scores, const AttentionResult& result,
                                    const at::Tensor& dout) {
  const auto heads = [&](const at::Tensor& t) { return t.view({t.size(0), layout.heads, layout.dim}); };
  Arguments arguments = shared_arguments(qkv, sequences, layout, scores);
  arguments["grad_out"] = heads(dout);
  arguments["out"] = heads(result.out);
  arguments["logsumexp"] = result.log_sum;
  // The state of a generator, which is not read without dropout, under the names that versions give it.
  const at::Tensor state = at::zeros({2}, qkv.options().dtype(at::kLong)), none = at::empty({0}, state.options());
  for (const char* name : {"rng_state", "philox_seed"}) arguments[name] = state;
  for (const char* name : {"unused", "philox_offset"}) arguments[name] = none;
  const std::vector<c10::IValue> results = call(kBackward, arguments);
  const auto columns = [&](size_t i) { return results[i].toTensor().reshape({qkv.size(0), -1}); };
  return at::cat({columns(0), columns(1), columns(2)}, 1);
}

}  // namespace lora::aten
