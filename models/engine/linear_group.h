#pragma once
// Several projections of one input done together, each with or without a low-rank adapter (Hu et al. 2021, §4.1):
// y_i = g_i ⊙ z_i + b_i with z_i = x W_iᵀ + s_i · dropout(x) A_iᵀ B_iᵀ − s_i · x A₀_iᵀ B₀_iᵀ and g_i = m_i / n_i, or 1.
// Forward and gradients as plain functions: the caller is the autograd.
//
// Shapes: N tokens, I input features, O_i output features and r_i the rank of projection i; O and r without an index
// are sums over the projections, with padded ranks (conventions.h). x is contiguous, of a dtype and on a device that
// the table of operations is for. Products with the weights are in its dtype, with wide sums; adapters, their
// activations of rank r and their gradients are wide throughout: float32, or float64 where x is.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/engine/weight_handle.h"

namespace lora {

struct Folded;
struct Operations;

// A projection as the tensors it consists of.
struct LinearParts {
  WeightHandle weight = {};                  // (O_i, I), frozen or trained
  at::Tensor bias = {};                      // (O_i), or undefined
  at::Tensor lora_A = {}, lora_B = {};       // (r_i, I) and (O_i, r_i) float32, or undefined
  at::Tensor start_A = {}, start_B = {};     // A₀_i and B₀_i, shaped alike and frozen, or undefined
  at::Tensor magnitude = {}, row_norm = {};  // m_i and n_i (O_i) float32, n_i frozen, or undefined
  double scaling = 0;                        // s_i
  double dropout = 0;                        // probability; 0 outside training
};

class LinearGroup {
 public:
  // Each call reads the tensors as they are then. dtype: of the activations.
  LinearGroup(std::vector<LinearParts> parts, at::ScalarType dtype, const Operations& operations);
  LinearGroup(LinearGroup&&) = default;  // adapters_ points into parts_, which stays where it is
  LinearGroup& operator=(LinearGroup&&) = default;

  // What the gradients need besides x. The caller keeps it from the forward to the backward pass.
  struct Kept {
    at::Tensor low;                      // (N, r) wide: dropout(x) A_iᵀ side by side, then x A₀_iᵀ
    std::vector<uint64_t> dropout_keys;  // one an adapter; empty without dropout
    at::Tensor z;  // (N, O) where there are magnitudes. May be dropped: restore() computes it again.
  };

  // Writes y (N, O) = the projections side by side + `base`, which is y, or laid out as y, or undefined.
  Kept forward(const at::Tensor& x, const at::Tensor& base, at::Tensor& y) const;
  // The same result again, with the dropout masks and low-rank activations of an earlier call.
  void forward_again(const at::Tensor& x, const at::Tensor& base, at::Tensor& y, Kept& kept) const;
  // Recomputes the members of `kept` that were dropped.
  void restore(const at::Tensor& x, Kept& kept) const;

  // The gradient of z, from that of y. The functions below take it.
  at::Tensor z_gradient(const at::Tensor& dy) const;
  // The gradient of `low`: shaped alike, undefined without adapters.
  at::Tensor low_gradient(const at::Tensor& dz) const;
  // Writes the gradient of x (N, I).
  void input_gradient(const at::Tensor& dz, const at::Tensor& dlow, const Kept& kept, at::Tensor& dx) const;
  // Appends the gradients of parameters(), in that order. dz and dy are the same tensor where there are no magnitudes.
  void parameter_gradients(const at::Tensor& dy, const at::Tensor& dz, const at::Tensor& dlow, const at::Tensor& x,
                           const Kept& kept, std::vector<at::Tensor>& grads) const;

  // The tensors that require a gradient: weight, bias, lora_A, lora_B, magnitude of each projection where they do.
  std::vector<at::Tensor> parameters() const;
  int64_t out_features() const { return out_; }
  bool reads_input() const;  // whether parameter_gradients reads x
  bool has_magnitudes() const { return has_magnitudes_; }
  // Releases the memory of frozen weights that are a mapped file's (io/file_view.h).
  void release_weights() const;

 private:
  // The products with the weights and the adapters, without magnitudes and biases.
  void project(const at::Tensor& x, const at::Tensor& low, const at::Tensor& base, at::Tensor& y) const;
  void project_folded(const at::Tensor& x, const at::Tensor& low, const at::Tensor& base, at::Tensor& y) const;
  // Whether the products of so many rows are done by Operations::weight_products, with the adapters folded in.
  bool folds(int64_t rows) const;
  // A low-rank pair, what it is multiplied by, where its projection's columns and those of its rank begin, and how many
  // columns these have.
  struct Adapter {
    const at::Tensor *a, *b;
    double scaling, dropout;
    int64_t column, out, low, rank;
  };
  void low_activations(const at::Tensor& x, Kept& kept) const;
  void add_low(const at::Tensor& low, at::Tensor& y) const;
  void add_biases(at::Tensor& y) const;
  void add_scaled(const at::Tensor& z, const at::Tensor& base, at::Tensor& y) const;
  void through_weights(const at::Tensor& dz, at::Tensor& dx) const;
  void through_weights_folded(const at::Tensor& dz, const Folded& folded, at::Tensor& dx) const;
  double flops(const at::Tensor& x) const;  // of one product with all weights

  std::vector<LinearParts> parts_;
  std::vector<Adapter> adapters_;  // lora_A and lora_B of the projections in order, then the frozen pairs
  at::ScalarType dtype_;
  const Operations* operations_;
  int64_t out_ = 0, rank_ = 0, trained_rank_ = 0;  // trained: without the frozen pairs
  bool drops_ = false, trains_weights_ = false, has_magnitudes_ = false;
};

}  // namespace lora
