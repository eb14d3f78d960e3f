#include "models/engine/fused_layer.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <array>

#include "models/engine/norm.h"
#include "models/engine/operations.h"
#include "models/engine/profile.h"

namespace lora {
namespace {

using torch::autograd::variable_list;

// One application of a layer: the forward pass, what it keeps, and the backward pass.
class Layer {
 public:
  Layer(const FusedLayerParts& parts, const FusedBatch& batch, at::ScalarType dtype, const Operations& operations)
      : operations_(&operations),
        qkv_(parts.qkv, dtype, operations),
        o_(parts.o, dtype, operations),
        gate_up_(parts.gate_up, dtype, operations),
        down_(parts.down, dtype, operations),
        gelu_(parts.gelu),
        layout_(parts.layout),
        scores_(parts.scores),
        residual_scale_(parts.residual_scale),
        batch_(batch) {
    const auto norm = [&](const at::Tensor& weight) {
      return Norm{weight, parts.norms_multiply_by_one_plus, parts.eps};
    };
    before_attention_ = norm(parts.before_attention);
    after_attention_ = norm(parts.after_attention);
    before_mlp_ = norm(parts.before_mlp);
    after_mlp_ = norm(parts.after_mlp);
    q_norm_ = norm(parts.q_norm);
    k_norm_ = norm(parts.k_norm);
  }

  // The order of backward's gradients after that of x.
  std::vector<at::Tensor> parameters() const {
    std::vector<at::Tensor> all;
    for (const LinearGroup* group : {&down_, &gate_up_, &o_, &qkv_}) {
      for (at::Tensor& p : group->parameters()) all.push_back(std::move(p));
    }
    for (const Norm* norm : {&after_mlp_, &before_mlp_, &after_attention_, &q_norm_, &k_norm_, &before_attention_}) {
      if (norm->trained()) all.push_back(norm->weight);
    }
    return all;
  }

  at::Tensor forward(const at::Tensor& x, bool keep) {
    attend(x, [](const LinearGroup& group, const at::Tensor& in, const at::Tensor& base, at::Tensor& out,
                 LinearGroup::Kept& kept) { kept = group.forward(in, base, out); });
    gate_up_out_ = at::empty({x.size(0), gate_up_.out_features()}, x.options());
    gate_up_kept_ = gate_up_.forward(normed(*operations_, before_mlp_, h_), /*base=*/{}, gate_up_out_);
    at::Tensor y;
    if (adds_changed(after_mlp_)) {
      down_out_ = at::empty_like(h_);
      down_kept_ = down_.forward(activation(), /*base=*/{}, down_out_);
      y = at::add(h_, normed(*operations_, after_mlp_, down_out_), residual_scale_);
      if (!after_mlp_.there()) down_out_.reset();
    } else {
      y = at::empty_like(h_);
      down_kept_ = down_.forward(activation(), h_, y);
    }
    if (keep) x_ = x;
    if (!keep || batch_.plan.recompute == Recompute::kLayer) drop_activations();
    if (batch_.plan.recompute == Recompute::kGateUp) drop_gate_up();
    release_weights();
    return y;
  }

  // The gradients of x (undefined unless required) and of parameters(). Frees what was kept.
  variable_list backward(const at::Tensor& dy, bool requires_input) {
    // Without a gradient of the input the layer below has no backward pass.
    if (batch_.fetched) batch_.fetched->enter(batch_.layer, requires_input ? batch_.layer - 1 : -1);
    recompute();
    std::vector<at::Tensor> grads(1), norm_grads;

    const at::Tensor ddown = gradient_through(*operations_, after_mlp_, down_out_, added(dy), norm_grads);
    at::Tensor dz = down_.z_gradient(ddown), dlow = down_.low_gradient(dz);
    at::Tensor dact = at::empty({dy.size(0), gate_up_.out_features() / 2}, dy.options());
    down_.input_gradient(dz, dlow, down_kept_, dact);
    activation_backward(dact);
    const at::Tensor dgate_up = std::move(gate_up_out_), act = std::move(dact);
    down_.parameter_gradients(ddown, dz, dlow, act, down_kept_, grads);
    down_kept_ = {};
    down_out_.reset();

    dz = gate_up_.z_gradient(dgate_up);
    dlow = gate_up_.low_gradient(dz);
    at::Tensor n2 = gate_up_.reads_input() ? normed(*operations_, before_mlp_, h_) : at::Tensor();
    gate_up_.parameter_gradients(dgate_up, dz, dlow, n2, gate_up_kept_, grads);
    at::Tensor dn = at::empty_like(dy);
    gate_up_.input_gradient(dz, dlow, gate_up_kept_, dn);
    gate_up_kept_ = {};
    at::Tensor dh = at::empty_like(dy);
    normed_backward(*operations_, before_mlp_, h_, dn, dy, dh);
    if (before_mlp_.trained()) norm_grads.push_back(norm_weight_gradient(before_mlp_, h_, dn));
    h_.reset();

    const at::Tensor dattended = gradient_through(*operations_, after_attention_, o_out_, added(dh), norm_grads);
    o_out_.reset();
    dz = o_.z_gradient(dattended);
    dlow = o_.low_gradient(dz);
    at::Tensor dout = at::empty_like(attention_.out);
    o_.input_gradient(dz, dlow, o_kept_, dout);
    o_.parameter_gradients(dattended, dz, dlow, attention_.out, o_kept_, grads);
    o_kept_ = {};
    const at::Tensor dqkv = attention_backward(dout);
    rotate(dqkv, -1);
    norm_heads_backward(dqkv, norm_grads);
    qkv_out_.reset();
    attention_ = {};

    dz = qkv_.z_gradient(dqkv);
    dlow = qkv_.low_gradient(dz);
    if (qkv_.reads_input()) n2 = normed(*operations_, before_attention_, x_);
    qkv_.parameter_gradients(dqkv, dz, dlow, n2, qkv_kept_, grads);
    if (requires_input || before_attention_.trained()) {
      qkv_.input_gradient(dz, dlow, qkv_kept_, dn);
      if (before_attention_.trained()) norm_grads.push_back(norm_weight_gradient(before_attention_, x_, dn));
      if (requires_input) {
        normed_backward(*operations_, before_attention_, x_, dn, dh, dh);
        grads[0] = dh;
      }
    }
    for (at::Tensor& grad : norm_grads) grads.push_back(std::move(grad));
    release();
    release_weights();
    return grads;
  }

  void release() {
    x_.reset();
    drop_activations();
  }

 private:
  void release_weights() const {
    if (!batch_.plan.release_weights) return;
    for (const LinearGroup* group : {&qkv_, &o_, &gate_up_, &down_}) group->release_weights();
  }

  // Whether the output of a projection is normed or scaled before it is added.
  bool adds_changed(const Norm& norm) const { return norm.there() || residual_scale_ != 1; }
  // The gradient of a summand, from that of the sum.
  at::Tensor added(const at::Tensor& dy) const { return residual_scale_ == 1 ? dy : dy * residual_scale_; }

  at::Tensor activation() const {
    const WorkScope scope(Work::kElementwise);
    return (gelu_ ? operations_->geglu : operations_->swiglu)(gate_up_out_);
  }
  // gate_up_out_ becomes its gradient; dact, the gradient of the activation, becomes the activation.
  void activation_backward(const at::Tensor& dact) const {
    const WorkScope scope(Work::kElementwise);
    (gelu_ ? operations_->geglu_backward : operations_->swiglu_backward)(gate_up_out_, dact);
  }

  // Queries and keys of qkv, in place; direction -1 is the inverse.
  void rotate(const at::Tensor& qkv, float direction) const {
    if (!batch_.cos.defined()) return;
    const WorkScope scope(Work::kElementwise);
    operations_->rotate(qkv, batch_.cos, batch_.sin, layout_, direction);
  }

  AttentionResult attention() const {
    const WorkScope scope(Work::kAttention, attention_flops(2));
    const Sequences& s = batch_.sequences;
    if (!s.rows.defined()) return operations_->packed_attention(qkv_out_, s, layout_, scores_);
    AttentionResult result = operations_->packed_attention(qkv_out_.index_select(0, s.rows), s, layout_, scores_);
    result.out = result.out.index_select(0, s.places);
    return result;
  }
  at::Tensor attention_backward(const at::Tensor& dout) const {
    const WorkScope scope(Work::kAttention, attention_flops(5));
    const Sequences& s = batch_.sequences;
    if (!s.rows.defined()) {
      return operations_->packed_attention_backward(qkv_out_, s, layout_, scores_, attention_, dout);
    }
    const auto apart = [&](const at::Tensor& x) { return x.index_select(0, s.rows); };
    const at::Tensor all = operations_->packed_attention_backward(
        apart(qkv_out_), s, layout_, scores_, {apart(attention_.out), attention_.log_sum}, apart(dout));
    at::Tensor dqkv = all.index_select(0, s.places);
    const int64_t queries = layout_.heads * layout_.dim;
    for (const auto& [row, place, count] : s.repeats) {
      const auto keys_and_values = [&, count = count](const at::Tensor& x, int64_t first) {
        return x.narrow(0, first, count).narrow(1, queries, layout_.width() - queries);
      };
      keys_and_values(dqkv, row).add_(keys_and_values(all, place));
    }
    return dqkv;
  }
  // Of `products` products over the pairs of tokens that a causal mask allows.
  double attention_flops(int products) const {
    double pairs = 0;
    const auto up_to = [](int64_t t) { return 0.5 * static_cast<double>(t) * static_cast<double>(t + 1); };
    const Sequences& s = batch_.sequences;
    for (size_t i = 0; i < s.lengths.size(); ++i) pairs += up_to(s.lengths[i]) - up_to(s.known_of(i));
    return 2.0 * products * pairs * static_cast<double>(layout_.heads * layout_.dim);
  }

  // From x to h_; keeps the activations between them. `project` does a group's products: forward, or forward_again.
  template <class Project>
  void attend(const at::Tensor& x, Project project) {
    qkv_out_ = at::empty({x.size(0), layout_.width()}, x.options());
    project(qkv_, normed(*operations_, before_attention_, x), at::Tensor(), qkv_out_, qkv_kept_);
    norm_heads();
    rotate(qkv_out_, 1);
    attention_ = attention();
    if (adds_changed(after_attention_)) {
      o_out_ = at::empty_like(x);
      project(o_, attention_.out, at::Tensor(), o_out_, o_kept_);
      h_ = at::add(x, normed(*operations_, after_attention_, o_out_), residual_scale_);
      if (!after_attention_.there()) o_out_.reset();
    } else {
      h_ = at::empty_like(x);
      project(o_, attention_.out, x, h_, o_kept_);
    }
  }

  // Columns of the queries and of the keys.
  struct Heads {
    const Norm& norm;
    int64_t column, width;
  };
  std::array<Heads, 2> heads() const {
    const int64_t q = layout_.heads * layout_.dim, k = layout_.kv_heads * layout_.dim;
    return {Heads{q_norm_, 0, q}, Heads{k_norm_, q, k}};
  }
  int64_t heads_width() const { return (layout_.heads + layout_.kv_heads) * layout_.dim; }

  // Norms queries and keys of qkv_out_ in place; keeps their values before it.
  void norm_heads() {
    if (!q_norm_.there()) return;
    heads_ = qkv_out_.narrow(1, 0, heads_width()).clone(at::MemoryFormat::Contiguous);
    for (const Heads& part : heads()) norm_columns(*operations_, part.norm, heads_, qkv_out_, part.column, part.width);
  }

  void norm_heads_backward(const at::Tensor& dqkv, std::vector<at::Tensor>& grads) {
    if (!q_norm_.there()) return;
    const at::Tensor dy = dqkv.narrow(1, 0, heads_width()).clone(at::MemoryFormat::Contiguous);
    for (const Heads& part : heads()) {
      norm_columns_backward(*operations_, part.norm, heads_, dy, /*base=*/{}, dqkv, part.column, part.width);
      if (!part.norm.trained()) continue;
      grads.push_back(norm_weight_gradient(part.norm, heads_.narrow(1, part.column, part.width),
                                           dy.narrow(1, part.column, part.width)));
    }
    heads_.reset();
  }

  // The low-rank activations and the dropout keys stay: they are small, and the keys give the same masks again.
  void drop_activations() {
    for (at::Tensor* tensor : {&qkv_out_, &heads_, &o_out_, &h_}) tensor->reset();
    attention_ = {};
    for (LinearGroup::Kept* kept : {&qkv_kept_, &o_kept_, &down_kept_}) kept->z.reset();
    drop_gate_up();
  }

  void drop_gate_up() {
    gate_up_out_.reset();
    gate_up_kept_.z.reset();
    down_out_.reset();
  }

  void recompute() {
    if (!qkv_out_.defined()) {
      attend(x_, [](const LinearGroup& group, const at::Tensor& in, const at::Tensor& base, at::Tensor& out,
                    LinearGroup::Kept& kept) { group.forward_again(in, base, out, kept); });
    }
    if (!gate_up_out_.defined()) {
      gate_up_out_ = at::empty({x_.size(0), gate_up_.out_features()}, x_.options());
      gate_up_.forward_again(normed(*operations_, before_mlp_, h_), /*base=*/{}, gate_up_out_, gate_up_kept_);
    }
    if (after_mlp_.there() && !down_out_.defined()) {
      down_out_ = at::empty_like(h_);
      down_.forward_again(activation(), /*base=*/{}, down_out_, down_kept_);
    } else if (down_.has_magnitudes() && !down_kept_.z.defined()) {
      down_.restore(activation(), down_kept_);
    }
  }

  const Operations* operations_;
  LinearGroup qkv_, o_, gate_up_, down_;
  Norm before_attention_, after_attention_, before_mlp_, after_mlp_, q_norm_, k_norm_;
  bool gelu_;
  HeadLayout layout_;
  AttentionScores scores_;
  double residual_scale_;
  FusedBatch batch_;

  // heads_, o_out_, down_out_: the inputs of the norms of queries and keys, and of the two summands.
  at::Tensor x_, qkv_out_, heads_, o_out_, h_, gate_up_out_, down_out_;
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

at::Tensor fused_layer(const at::Tensor& x, const FusedLayerParts& parts, const FusedBatch& batch,
                       const Operations& operations) {
  Layer layer(parts, batch, x.scalar_type(), operations);
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
