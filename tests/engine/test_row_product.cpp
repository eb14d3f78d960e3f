// Products and attention of decoding, on every instruction set, against sums in double.

#include <ATen/ATen.h>

#include <bit>
#include <cmath>
#include <random>
#include <type_traits>

#include "models/engine/cpu/dispatch.h"
#include "models/engine/cpu/paged_attention.h"
#include "models/engine/cpu/table.h"
#include "tests/catch.h"
#include "tests/engine/every_target.h"

using namespace lora;
using namespace lora::kernels;

namespace {

// A weight in an encoding, and the values that it stands for.
struct Encoded {
  RowWeight weight;
  at::Tensor values, scales, exact;  // exact: (out, in) float64
};

// half: for a model of bfloat16.
Encoded encode(RowEncoding encoding, bool half, int64_t out, int64_t in) {
  Encoded made;
  const at::Tensor w = at::randn({out, in});
  const auto& k = table<float>().quantized;
  at::Tensor decoded = at::empty_like(w);
  switch (encoding) {
    case RowEncoding::kFloat:
      made.values = decoded = w;
      break;
    case RowEncoding::kBf16:
      made.values = w.to(at::kBFloat16);
      decoded = made.values.to(at::kFloat);
      break;
    case RowEncoding::kInt8:
      made.values = at::empty({out, in}, at::kChar);
      made.scales = at::empty({out}, at::kFloat);
      for (int64_t r = 0; r < out; ++r) {
        k.int8_encode(w[r].const_data_ptr<float>(), as_size(in), made.values[r].data_ptr<int8_t>(),
                      made.scales.data_ptr<float>() + r);
      }
      made.scales /= 127;
      decoded = made.values.to(at::kFloat) * made.scales.unsqueeze(1);
      break;
    case RowEncoding::kNf4:
      made.values = at::empty({out * in / 2}, at::kByte);
      made.scales = at::empty({out * in / 64}, at::kFloat);
      k.nf4_encode(w.const_data_ptr<float>(), as_size(out * in), made.values.data_ptr<uint8_t>(),
                   made.scales.data_ptr<float>());
      k.nf4_decode(made.values.const_data_ptr<uint8_t>(), made.scales.const_data_ptr<float>(),
                   decoded.data_ptr<float>(), as_size(out * in));
      if (half) decoded = decoded.to(at::kBFloat16);
      break;
  }
  made.exact = decoded.to(at::kDouble);
  made.weight = {.encoding = encoding,
                 .values = made.values.const_data_ptr(),
                 .scales = made.scales.defined() ? made.scales.const_data_ptr<float>() : nullptr,
                 .out = as_size(out),
                 .in = as_size(in),
                 .half = half};
  return made;
}

// Each encoding in the models that have it, by its name.
struct Case {
  const char* name;
  RowEncoding encoding;
  bool half;
};
constexpr Case kCases[] = {
    {"float32", RowEncoding::kFloat, false},        {"bfloat16", RowEncoding::kBf16, true},
    {"int8 of float32", RowEncoding::kInt8, false}, {"int8 of bfloat16", RowEncoding::kInt8, true},
    {"nf4 of float32", RowEncoding::kNf4, false},   {"nf4 of bfloat16", RowEncoding::kNf4, true}};

// x · Wᵀ, rows from `first` on, in pieces of 20 outputs.
at::Tensor product(const Encoded& w, const at::Tensor& x, int64_t first = 0) {
  const RowProductKernels& k = row_product_kernels();
  const RowOrder order = k.order(w.weight, as_size(x.size(0)));
  std::vector<float> laid(laid_floats(order, as_size(x.size(0)), w.weight.in));
  k.lay(order, view<const float>(x), laid.data());
  at::Tensor y = at::full({x.size(0) - first, static_cast<int64_t>(w.weight.out)}, NAN);
  for (size_t o = 0; o < w.weight.out; o += 20) {
    k.run(w.weight, {order, laid.data(), w.weight.in}, as_size(first), o, std::min<size_t>(20, w.weight.out - o),
          view<float>(y));
  }
  return y;
}

}  // namespace

TEST_CASE("products of few rows with every encoding are exact up to float32's rounding") {
  at::manual_seed(1);
  for (const Case& one : kCases) {
    for (const int64_t in : {64, 576, 96, 37, 40}) {
      if (one.encoding == RowEncoding::kNf4 && in % 64 != 0) continue;
      for (const int64_t out : {7, 83, 150}) {
        const Encoded w = encode(one.encoding, one.half, out, in);
        for (const int64_t rows : {1, 2, 5, 16, 35}) {
          const at::Tensor x = at::randn({rows, in});
          const at::Tensor counted = one.half ? x.to(at::kBFloat16) : x;
          const at::Tensor expected = at::mm(counted.to(at::kDouble), w.exact.t());
          const double unit = std::sqrt(static_cast<double>(in)) * w.exact.abs().max().item<double>();
          on_every_target([&] {
            INFO(one.name << ", " << rows << " rows, " << out << " x " << in);
            CHECK((product(w, x).to(at::kDouble) - expected).abs().max().item<double>() < 5e-6 * unit);
          });
        }
      }
    }
  }
}

TEST_CASE("a row's product has the same bits whatever rows are beside it") {
  at::manual_seed(2);
  for (const Case& one : kCases) {
    const bool decoded = one.encoding == RowEncoding::kInt8 || one.encoding == RowEncoding::kNf4;
    const Encoded w = encode(one.encoding, one.half, 150, 128);
    const at::Tensor x = at::randn({21, 128});
    on_every_target([&] {
      INFO(one.name);
      const at::Tensor all = product(w, x);
      CHECK(product(w, x, 18).equal(all.slice(0, 18)));
      if (amx() && one.half && decoded) return;
      for (const int64_t row : {0, 7, 20}) CHECK(product(w, x.narrow(0, row, 1))[0].equal(all[row]));
    });
  }
}

TEST_CASE("a product is finished with what an adapter adds, a gain and a bias") {
  at::manual_seed(3);
  const at::Tensor y = at::randn({11, 50}), up = at::randn({5, 50}), low = at::randn({11, 8}), gain = at::randn({50}),
                   bias = at::randn({50});
  for (const bool half : {false, true}) {
    const at::Tensor held = half ? up.to(at::kBFloat16) : up;
    const at::Tensor wanted = (y + at::mm(low.narrow(1, 2, 5), held.to(at::kFloat))) * gain + bias;
    const at::Tensor panels = at::constant_pad_nd(held, {0, 14}).view({5, 4, 16}).transpose(0, 1).contiguous();
    on_every_target([&] {
      const RowFinish finish{.up = panels.const_data_ptr(),
                             .half = half,
                             .rank = 5,
                             .low = view<const float>(low).column_range(2, 5),
                             .gain = gain.const_data_ptr<float>(),
                             .bias = bias.const_data_ptr<float>()};
      at::Tensor found = y.clone();
      row_product_kernels().finish(finish, 0, 32, view<float>(found));
      row_product_kernels().finish(finish, 32, 18, view<float>(found));
      CHECK((found - wanted).abs().max().item<double>() < 1e-5);
    });
  }
}

namespace {

// A token of a head in a page, `apart` elements from one number to the next, takes the place of x (dim), which it is
// near to.
template <class T>
void read_back(const T* head, size_t first, size_t apart, size_t slot, const at::Tensor& x) {
  float* const to = x.data_ptr<float>();
  const auto dim = static_cast<size_t>(x.numel());
  for (size_t i = 0; i < dim; ++i) {
    const T kept = head[first + i * apart];
    float value = 0, most = 0;
    if constexpr (std::is_same_v<T, float>) {
      value = kept;
    } else if constexpr (std::is_same_v<T, Bf16>) {
      value = std::bit_cast<float>(uint32_t{std::bit_cast<uint16_t>(kept)} << 16);
      most = std::abs(to[i]) / 256;
    } else {
      const float scale = reinterpret_cast<const float*>(head + kPage * dim)[slot];
      value = kept * scale;
      most = 0.501f * scale;
    }
    if (std::abs(value - to[i]) > most) FAIL("kept as " << value << ", not as " << to[i]);
    to[i] = value;
  }
}

// Attention of queries over pages, for one head of keys, beside the same in double.
template <class T>
void check_attention(size_t dim, size_t tokens, size_t count, size_t window, float softcap) {
  const size_t head = page_elements<T>(dim), pages = ceil_div<size_t>(tokens, 32), begin = 4;
  const auto n = static_cast<int64_t>(tokens), width = static_cast<int64_t>(dim);
  const at::Tensor q = at::randn({static_cast<int64_t>(count), width});
  const at::Tensor k = at::randn({n, width}), v = at::randn({n, width});
  std::vector<std::vector<T>> memory(pages, std::vector<T>(begin + 2 * head));
  std::vector<const T*> places;
  const auto& kernel = paged_attention_kernels<T>();
  for (auto& page : memory) places.push_back(page.data());
  for (size_t t = 0; t < tokens; ++t) {
    T* const page = memory[t / 32].data() + begin;
    kernel.store(k[static_cast<int64_t>(t)].template const_data_ptr<float>(),
                 v[static_cast<int64_t>(t)].template const_data_ptr<float>(), dim, t % 32, page, page + head);
    read_back(page, t % 32, kPage, t % 32, k[static_cast<int64_t>(t)]);
    read_back(page + head, t % 32 * dim, 1, t % 32, v[static_cast<int64_t>(t)]);
  }
  at::Tensor out = at::empty_like(q);
  std::vector<float> scratch(paged_scratch_floats(tokens));
  PagedQueries<T> queries{};
  queries.count = count;
  queries.dim = dim;
  queries.pages = places;
  queries.keys = begin;
  queries.values = begin + head;
  queries.scale = 0.3f;
  queries.softcap = softcap;
  queries.window = window;
  queries.scratch = scratch.data();
  at::Tensor wanted = at::empty_like(q, at::kDouble);
  for (size_t i = 0; i < count; ++i) {
    const size_t seen = tokens - (count - 1 - i) / 2;
    queries.q[i] = q.const_data_ptr<float>() + i * dim;
    queries.out[i] = out.data_ptr<float>() + i * dim;
    queries.seen[i] = seen;
    const size_t first = window != 0 && seen > window ? seen - window : 0;
    const at::Tensor keys = k.slice(0, first, seen).to(at::kDouble), values = v.slice(0, first, seen).to(at::kDouble);
    at::Tensor scores = at::mv(keys, q[static_cast<int64_t>(i)].to(at::kDouble)) * 0.3;
    if (softcap != 0) scores = at::tanh(scores / softcap) * softcap;
    wanted[static_cast<int64_t>(i)] = at::mv(values.t(), at::softmax(scores, 0));
  }
  kernel.attend(queries);
  CHECK((out.to(at::kDouble) - wanted).abs().max().item<double>() < 1e-5);
}

}  // namespace

TEST_CASE("attention over pages is that over all tokens, with windows and soft caps") {
  at::manual_seed(4);
  on_every_target([] {
    for (const size_t dim : {4, 20, 64, 80}) {
      for (const size_t tokens : {1, 31, 32, 33, 150}) {
        for (const size_t count : {1, 3, 7, 8}) {
          if (tokens < count) continue;
          for (const size_t window : {0, 5, 40}) {
            for (const float softcap : {0.0f, 2.0f}) {
              CAPTURE(dim, tokens, count, window, softcap);
              check_attention<float>(dim, tokens, count, window, softcap);
              check_attention<Bf16>(dim, tokens, count, window, softcap);
              check_attention<int8_t>(dim, tokens, count, window, softcap);
            }
          }
        }
      }
    }
  });
}
