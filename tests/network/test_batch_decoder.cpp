// Decoding in batches against the plain path: logits, families, batches, pages.

#include "models/network/batch_decoder.h"

#include <ATen/ATen.h>

#include <numeric>

#include "models/base/error.h"
#include "models/network/model_snapshot.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/golden.h"
#include "tests/golden_families.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

std::vector<int64_t> ids_of(const at::Tensor& t) {
  const at::Tensor flat = t.contiguous();
  return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

// A copy of the logits of a pass.
at::Tensor logits_of(BatchDecoder& decoder, const std::vector<DecoderSpan>& spans) {
  const auto found = decoder.pass(spans);
  at::Tensor copy = at::empty({static_cast<int64_t>(found.rows), static_cast<int64_t>(found.columns)}, at::kFloat);
  std::copy_n(found.data, found.rows * found.columns, copy.data_ptr<float>());
  return copy;
}

// All logits of a text that is read `step` tokens at a time.
at::Tensor read_by(BatchDecoder& decoder, const ModelSnapshot& model, const std::vector<int64_t>& ids, size_t step) {
  KvSequence sequence;
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < ids.size(); i += step) {
    const size_t count = std::min(step, ids.size() - i);
    parts.push_back(
        logits_of(decoder, {{&sequence, std::span(ids).subspan(i, count), &model, static_cast<int64_t>(count)}}));
  }
  return at::cat(parts);
}

std::vector<int64_t> some_ids(int64_t first, int64_t count) {
  return ids_of((at::arange(first, first + count, at::kLong) * 31 + 7).remainder(48));
}

}  // namespace

TEST_CASE("every family's logits in batches are those of transformers, token by token and in pieces") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const GoldenFamily golden(name);
      const auto model = load_pretrained(golden_family(name), "float32");
      BatchDecoder decoder(*model);
      const auto snapshot = decoder.snapshot(*model);
      for (const int64_t row : {0, 1}) {
        const std::vector<int64_t> ids = ids_of(golden["input_ids"][row]);
        for (const size_t step : {size_t{1}, size_t{5}, ids.size()}) {
          if (name == "phi3_longrope" && step != ids.size()) continue;  // refuses to grow over its context
          const at::Tensor wanted = golden["logits"][row];
          const double unit = std::max(1.0, largest(wanted));  // float32 has no 1e-5 beside a logit of 128
          CHECK(largest(read_by(decoder, *snapshot, ids, step) - wanted) < 1e-5 * unit);
        }
      }
    }
  }
}

TEST_CASE("sequences decoded together have the bits of each alone, whatever their order") {
  for (const std::string name : {"float32", "bfloat16", "int8 keys and values"}) {
    DYNAMIC_SECTION(name) {
      const bool int8 = name.starts_with("int8");
      const auto model = load_pretrained(golden_model("default"), int8 ? "bfloat16" : name);
      BatchDecoder decoder(*model, int8 ? KvDtype::kInt8 : KvDtype::kModel);
      const auto snapshot = decoder.snapshot(*model);
      const int64_t lengths[] = {3, 30, 1, 9, 17, 2, 5, 4, 11, 6, 8, 13};
      const int64_t n = std::size(lengths);
      std::vector<KvSequence> sequences(static_cast<size_t>(n));
      // Beginnings of different lengths, then a token each at the same time, over the end of the second one's page.
      for (int64_t i = 0; i < n; ++i) {
        const auto ids = some_ids(i, lengths[i]);
        decoder.pass(std::vector<DecoderSpan>{{&sequences[static_cast<size_t>(i)], ids, snapshot.get(), 0}});
      }
      std::vector<at::Tensor> found(static_cast<size_t>(n));
      for (int64_t t = 0; t < 4; ++t) {
        std::vector<std::vector<int64_t>> ids;
        for (int64_t i = 0; i < n; ++i) ids.push_back(some_ids(i + lengths[i] + t, 1));
        std::vector<DecoderSpan> spans;
        std::vector<size_t> order;
        for (int64_t j = 0; j < n; ++j) {
          order.push_back(static_cast<size_t>((j * 5 + t) % n));
          spans.push_back({&sequences[order.back()], ids[order.back()], snapshot.get(), 1});
        }
        const at::Tensor logits = logits_of(decoder, spans);
        for (int64_t j = 0; j < n; ++j) {
          at::Tensor& all = found[order[static_cast<size_t>(j)]];
          all = all.defined() ? at::cat({all, logits.narrow(0, j, 1)}) : logits.narrow(0, j, 1);
        }
      }
      for (int64_t i = 0; i < n; ++i) {
        KvSequence alone;
        const auto begin = some_ids(i, lengths[i]);
        decoder.pass(std::vector<DecoderSpan>{{&alone, begin, snapshot.get(), 0}});
        for (int64_t t = 0; t < 4; ++t) {
          const auto next = some_ids(i + lengths[i] + t, 1);
          CHECK(logits_of(decoder, {{&alone, next, snapshot.get(), 1}})[0].equal(found[static_cast<size_t>(i)][t]));
        }
      }
    }
  }
}

TEST_CASE("keys and values of 8 bits take half of bfloat16's memory and are about as near to float32") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const GoldenFamily golden(name);
      const auto model = load_pretrained(golden_family(name), "float32");
      BatchDecoder decoder(*model, KvDtype::kInt8);
      const auto snapshot = decoder.snapshot(*model);
      const auto dim = static_cast<double>(model->config().head_dim);
      const auto half =
          static_cast<double>(BatchDecoder(*load_pretrained(golden_family(name), "bfloat16")).layout().page_bytes());
      CHECK(static_cast<double>(decoder.layout().page_bytes()) == Approx(half / 2 * (dim + 4) / dim));
      const std::vector<int64_t> ids = ids_of(golden["input_ids"][0]);
      const at::Tensor wanted = golden["logits"][0], found = read_by(decoder, *snapshot, ids, ids.size());
      const double bfloat16 = (golden["logits_bfloat16"][0].to(at::kFloat) - wanted).norm().item<double>();
      CHECK((found - wanted).norm().item<double>() <= 1.3 * bfloat16);
    }
  }
}

TEST_CASE("a sequence goes on from pages that it shares") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  BatchDecoder decoder(*model);
  const auto snapshot = decoder.snapshot(*model);
  const std::vector<int64_t> begin = some_ids(0, 2 * kPageTokens), a = some_ids(500, 7), b = some_ids(900, 9);
  KvSequence first;
  decoder.pass(std::vector<DecoderSpan>{{&first, begin, snapshot.get(), 0}});
  KvSequence second = first;  // the same two pages
  const auto after_both = [&](const std::vector<int64_t>& end) {
    std::vector<int64_t> all = begin;
    all.insert(all.end(), end.begin(), end.end());
    return read_by(decoder, *snapshot, all, 100).slice(0, 2 * kPageTokens);
  };
  const at::Tensor wanted_a = after_both(a), wanted_b = after_both(b);
  CHECK(largest(logits_of(decoder, {{&first, a, snapshot.get(), 7}}) - wanted_a) < 1e-5);
  CHECK(largest(logits_of(decoder, {{&second, b, snapshot.get(), 9}}) - wanted_b) < 1e-5);
}

TEST_CASE("logits are those of the last tokens asked for, in the caller's order") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  BatchDecoder decoder(*model);
  const auto one = decoder.snapshot(*model), other = decoder.snapshot(*model);
  KvSequence a, b, c;
  const auto ids = some_ids(3, 6);
  const at::Tensor all = read_by(decoder, *one, ids, 6);
  const at::Tensor found =
      logits_of(decoder, {{&a, ids, one.get(), 2}, {&b, ids, other.get(), 1}, {&c, ids, one.get(), 3}});
  CHECK(largest(found.narrow(0, 0, 2) - all.slice(0, 4)) < 1e-5);
  CHECK(largest(found.narrow(0, 2, 1) - all.slice(0, 5)) < 1e-5);
  CHECK(largest(found.narrow(0, 3, 3) - all.slice(0, 3)) < 1e-5);
}

TEST_CASE("a token without a row is refused before anything is written") {
  const auto model = load_pretrained(golden_model("default"), "float32");
  BatchDecoder decoder(*model);
  const auto snapshot = decoder.snapshot(*model);
  KvSequence sequence;
  for (const int64_t id : {int64_t{-1}, model->config().vocab_size}) {
    const std::vector<int64_t> ids = {3, id};
    CHECK_THROWS_WITH(decoder.pass(std::vector<DecoderSpan>{{&sequence, ids, snapshot.get(), 1}}),
                      Contains("expected a text without this token"));
  }
  CHECK(sequence.length == 0);
  CHECK(sequence.pages.empty());
}

TEST_CASE("in bfloat16 every family decodes about as near to float32 as transformers does") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const GoldenFamily golden(name);
      const auto model = load_pretrained(golden_family(name), "bfloat16");
      BatchDecoder decoder(*model);
      const auto snapshot = decoder.snapshot(*model);
      const std::vector<int64_t> ids = ids_of(golden["input_ids"][0]);
      const at::Tensor wanted = golden["logits"][0], found = read_by(decoder, *snapshot, ids, ids.size());
      const double theirs = (golden["logits_bfloat16"][0].to(at::kFloat) - wanted).norm().item<double>();
      CHECK((found - wanted).norm().item<double>() <= 1.3 * theirs);
    }
  }
}
