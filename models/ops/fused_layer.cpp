#include "models/ops/fused_layer.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include "models/ops/kernels/dispatch.h"
#include "models/ops/kernels/elementwise.h"
#include "models/ops/profile.h"
#include "models/parallel.h"

namespace lora {
namespace {

using torch::autograd::variable_list;

// Rows a thread takes at a time: small enough to share out short batches, large enough not to notice.
constexpr int64_t kRowGrain = 16;

template <class F>
void for_rows(int64_t rows, F f) {
  const WorkScope scope(Work::kElementwise);
  parallel_for(rows, kRowGrain, [&](int64_t first, int64_t last) { f(first, static_cast<size_t>(last - first)); });
}

at::Tensor norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  at::Tensor y = at::empty_like(x);
  const at::Tensor w = weight.to(at::kFloat);
  const int64_t width = x.size(1);
  kernels::for_type(x, [&](auto type) {
    using T = decltype(type);
    for_rows(x.size(0), [&](int64_t first, size_t rows) {
      kernels::rms_norm(kernels::data<T>(x) + first * width, w.const_data_ptr<float>(),
                        kernels::data<T>(y) + first * width, rows, static_cast<size_t>(width), static_cast<float>(eps));
    });
  });
  return y;
}

// Adds to dx.
void norm_backward(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& dy, at::Tensor& dx) {
  const at::Tensor w = weight.to(at::kFloat);
  const int64_t width = x.size(1);
  kernels::for_type(x, [&](auto type) {
    using T = decltype(type);
    for_rows(x.size(0), [&](int64_t first, size_t rows) {
      const int64_t at = first * width;
      kernels::rms_norm_backward(kernels::data<T>(x) + at, w.const_data_ptr<float>(), kernels::data<T>(dy) + at,
                                 kernels::data<T>(dx) + at, rows, static_cast<size_t>(width), static_cast<float>(eps));
    });
  });
}

// Of the norm's weight, where it is trained: full fine-tuning alone, so plain tensors do.
at::Tensor norm_weight_gradient(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& dy) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor n = wide * wide.pow(2).mean(-1, /*keepdim=*/true).add_(eps).rsqrt_();
  return n.mul_(dy).sum(0).to(weight.scalar_type());
}

// Queries and keys of qkv turned by their positions; direction -1 turns back.
void rotate(const at::Tensor& qkv, const FusedBatch& batch, const HeadLayout& layout, float direction) {
  if (!batch.cos.defined()) return;
  const int64_t width = layout.width(), half = layout.dim / 2;
  kernels::for_type(qkv, [&](auto type) {
    using T = decltype(type);
    for_rows(qkv.size(0), [&](int64_t first, size_t rows) {
      kernels::rope(kernels::data<T>(qkv) + first * width, static_cast<size_t>(width),
                    batch.cos.const_data_ptr<float>() + first * half, batch.sin.const_data_ptr<float>() + first * half,
                    rows, static_cast<size_t>(layout.heads + layout.kv_heads), static_cast<size_t>(layout.dim),
                    direction);
    });
  });
}

at::Tensor swiglu(const at::Tensor& gate_up) {
  const int64_t width = gate_up.size(1) / 2;
  at::Tensor y = at::empty({gate_up.size(0), width}, gate_up.options());
  kernels::for_type(y, [&](auto type) {
    using T = decltype(type);
    for_rows(y.size(0), [&](int64_t first, size_t rows) {
      kernels::swiglu(kernels::data<T>(gate_up) + 2 * first * width, kernels::data<T>(y) + first * width, rows,
                      static_cast<size_t>(width));
    });
  });
  return y;
}

// gate_up becomes its gradient, dy becomes y.
void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& dy) {
  const int64_t width = dy.size(1);
  kernels::for_type(dy, [&](auto type) {
    using T = decltype(type);
    for_rows(dy.size(0), [&](int64_t first, size_t rows) {
      kernels::swiglu_backward(kernels::data<T>(gate_up) + 2 * first * width, kernels::data<T>(dy) + first * width,
                               rows, static_cast<size_t>(width));
    });
  });
}

// One application of a layer: the forward pass, what it keeps, and the backward pass.
class Layer {
 public:
  Layer(const FusedLayerParts& parts, const FusedBatch& batch, at::ScalarType dtype)
      : qkv_(parts.qkv, dtype),
        o_(parts.o, dtype),
        gate_up_(parts.gate_up, dtype),
        down_(parts.down, dtype),
        input_norm_(parts.input_norm),
        post_norm_(parts.post_attention_norm),
        eps_(parts.eps),
        layout_(parts.layout),
        batch_(batch) {}

  // The order of backward's gradients after that of x.
  std::vector<at::Tensor> parameters() const {
    std::vector<at::Tensor> all;
    for (const LinearGroup* group : {&down_, &gate_up_, &o_, &qkv_}) {
      for (at::Tensor& p : group->parameters()) all.push_back(std::move(p));
    }
    for (const at::Tensor* w : {&post_norm_, &input_norm_}) {
      if (w->requires_grad()) all.push_back(*w);
    }
    return all;
  }

  at::Tensor forward(const at::Tensor& x, bool keep) {
    const int64_t n = x.size(0);
    qkv_out_ = at::empty({n, layout_.width()}, x.options());
    qkv_kept_ = qkv_.forward(norm(x, input_norm_, eps_), qkv_out_, /*add=*/false);
    rotate(qkv_out_, batch_, layout_, 1);
    attention_ = packed_attention(qkv_out_, batch_.lengths, layout_);
    h_ = x.clone();
    o_kept_ = o_.forward(attention_.out, h_, /*add=*/true);
    gate_up_out_ = at::empty({n, gate_up_.out_features()}, x.options());
    gate_up_kept_ = gate_up_.forward(norm(h_, post_norm_, eps_), gate_up_out_, /*add=*/false);
    at::Tensor y = h_.clone();
    down_kept_ = down_.forward(swiglu(gate_up_out_), y, /*add=*/true);
    if (keep) x_ = x;
    if (!keep || batch_.recompute == Recompute::kLayer) drop_activations();
    if (batch_.recompute == Recompute::kGateUp) drop_gate_up();
    return y;
  }

  // The gradients of x (undefined unless wanted) and of parameters(). Frees what was kept.
  variable_list backward(const at::Tensor& dy, bool input_wanted) {
    recompute();
    std::vector<at::Tensor> grads(1);

    at::Tensor dz = down_.z_gradient(dy), dlow = down_.low_gradient(dz);
    at::Tensor dact = at::empty({dy.size(0), gate_up_.out_features() / 2}, dy.options());
    down_.input_gradient(dz, dlow, down_kept_, dact);
    swiglu_backward(gate_up_out_, dact);
    const at::Tensor dgate_up = std::move(gate_up_out_), act = std::move(dact);
    down_.parameter_gradients(dy, dz, dlow, act, down_kept_, grads);
    down_kept_ = {};

    dz = gate_up_.z_gradient(dgate_up);
    dlow = gate_up_.low_gradient(dz);
    at::Tensor n2 = gate_up_.reads_input() ? norm(h_, post_norm_, eps_) : at::Tensor();
    gate_up_.parameter_gradients(dgate_up, dz, dlow, n2, gate_up_kept_, grads);
    at::Tensor dn = at::empty_like(dy);
    gate_up_.input_gradient(dz, dlow, gate_up_kept_, dn);
    gate_up_kept_ = {};
    at::Tensor dh = dy.clone();
    norm_backward(h_, post_norm_, eps_, dn, dh);
    const at::Tensor dpost = post_norm_.requires_grad() ? norm_weight_gradient(h_, post_norm_, eps_, dn) : at::Tensor();
    h_.reset();

    dz = o_.z_gradient(dh);
    dlow = o_.low_gradient(dz);
    at::Tensor dout = at::empty_like(attention_.out);
    o_.input_gradient(dz, dlow, o_kept_, dout);
    o_.parameter_gradients(dh, dz, dlow, attention_.out, o_kept_, grads);
    o_kept_ = {};
    const at::Tensor dqkv = packed_attention_backward(qkv_out_, batch_.lengths, layout_, attention_, dout);
    rotate(dqkv, batch_, layout_, -1);
    qkv_out_.reset();
    attention_ = {};

    dz = qkv_.z_gradient(dqkv);
    dlow = qkv_.low_gradient(dz);
    if (qkv_.reads_input()) n2 = norm(x_, input_norm_, eps_);
    qkv_.parameter_gradients(dqkv, dz, dlow, n2, qkv_kept_, grads);
    if (dpost.defined()) grads.push_back(dpost);
    if (input_wanted || input_norm_.requires_grad()) {
      qkv_.input_gradient(dz, dlow, qkv_kept_, dn);
      if (input_norm_.requires_grad()) grads.push_back(norm_weight_gradient(x_, input_norm_, eps_, dn));
      if (input_wanted) {
        norm_backward(x_, input_norm_, eps_, dn, dh);
        grads[0] = dh;
      }
    }
    release();
    return grads;
  }

  void release() {
    x_.reset();
    drop_activations();
  }

 private:
  // The low-rank activations and the dropout keys stay: they are small, and keys make the masks the same again.
  void drop_activations() {
    qkv_out_.reset();
    attention_ = {};
    h_.reset();
    for (LinearGroup::Kept* kept : {&qkv_kept_, &o_kept_, &down_kept_}) kept->z.reset();
    drop_gate_up();
  }

  void drop_gate_up() {
    gate_up_out_.reset();
    gate_up_kept_.z.reset();
  }

  void recompute() {
    if (!qkv_out_.defined()) {
      qkv_out_ = at::empty({x_.size(0), layout_.width()}, x_.options());
      qkv_.forward_again(norm(x_, input_norm_, eps_), qkv_out_, /*add=*/false, qkv_kept_);
      rotate(qkv_out_, batch_, layout_, 1);
      attention_ = packed_attention(qkv_out_, batch_.lengths, layout_);
      h_ = x_.clone();
      o_.forward_again(attention_.out, h_, /*add=*/true, o_kept_);
    }
    if (!gate_up_out_.defined()) {
      gate_up_out_ = at::empty({x_.size(0), gate_up_.out_features()}, x_.options());
      gate_up_.forward_again(norm(h_, post_norm_, eps_), gate_up_out_, /*add=*/false, gate_up_kept_);
    }
    if (down_.has_magnitudes() && !down_kept_.z.defined()) down_.keep_again(swiglu(gate_up_out_), down_kept_);
  }

  LinearGroup qkv_, o_, gate_up_, down_;
  at::Tensor input_norm_, post_norm_;
  double eps_;
  HeadLayout layout_;
  FusedBatch batch_;

  at::Tensor x_, qkv_out_, h_, gate_up_out_;
  AttentionResult attention_;
  LinearGroup::Kept qkv_kept_, o_kept_, gate_up_kept_, down_kept_;
};

struct FusedLayerNode final : torch::autograd::Node {
  explicit FusedLayerNode(Layer applied) : layer(std::move(applied)) {}

  variable_list apply(variable_list&& grads) override {
    const at::NoGradGuard no_grad;
    variable_list out(num_outputs());
    if (!grads[0].defined()) return out;
    variable_list found = layer.backward(grads[0].contiguous(), task_should_compute_output(0));
    for (size_t i = 0; i < out.size(); ++i) out[i] = std::move(found[i]);
    return out;
  }
  std::string name() const override { return "FusedLayer"; }
  void release_variables() override { layer.release(); }

  Layer layer;
};

// LibTorch holds the nodes of its graph by intrusive pointers since 2.13, by shared ones before.
template <class N, class Argument>
auto make_node(Argument&& argument) {
  if constexpr (std::is_base_of_v<c10::intrusive_ptr_target, N>) {
    return c10::make_intrusive<N>(std::forward<Argument>(argument));
  } else {
    return std::shared_ptr<N>(new N(std::forward<Argument>(argument)), [](N* node) { deleteNode(node); });
  }
}

}  // namespace

at::Tensor fused_layer(const at::Tensor& x, const FusedLayerParts& parts, const FusedBatch& batch) {
  Layer layer(parts, batch, x.scalar_type());
  std::vector<at::Tensor> inputs = layer.parameters();
  inputs.insert(inputs.begin(), x);
  const bool track = at::GradMode::is_enabled() && torch::autograd::any_variable_requires_grad(inputs);
  at::Tensor y;
  {
    const at::NoGradGuard no_grad;
    y = layer.forward(x.detach(), track);
  }
  if (!track) return y;
  auto node = make_node<FusedLayerNode>(std::move(layer));
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  torch::autograd::set_history(y, node);
  return y;
}

}  // namespace lora
