// The decoding engine on a device that is not the CPU: logits and answers beside the CPU's, its pages, and how often the
// host waits for it.

#include <ATen/ATen.h>

#include <limits>

#include "lora/quantization/quantizer.h"
#include "models/base/error.h"
#include "models/engine/device_pages.h"
#include "models/network/model_snapshot.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/device/tested_device.h"
#include "tests/golden_families.h"
#include "tests/inference/several_adapters.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

at::Tensor logits_of_pass(BatchDecoder& decoder, const std::vector<DecoderSpan>& spans) {
  const auto found = decoder.pass(spans);
  at::Tensor copy = at::empty({static_cast<int64_t>(found.rows), static_cast<int64_t>(found.columns)}, at::kFloat);
  std::copy_n(found.data, found.rows * found.columns, copy.data_ptr<float>());
  return copy;
}

// All logits of a text that is read `step` tokens at a time.
at::Tensor read_by_steps(BatchDecoder& decoder, const ModelSnapshot& model, const std::vector<int64_t>& ids,
                         size_t step) {
  KvSequence sequence;
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < ids.size(); i += step) {
    const size_t count = std::min(step, ids.size() - i);
    parts.push_back(
        logits_of_pass(decoder, {{&sequence, std::span(ids).subspan(i, count), &model, static_cast<int64_t>(count)}}));
  }
  return at::cat(parts);
}

std::vector<int64_t> golden_ids(const GoldenFamily& golden, int64_t row) {
  const at::Tensor ids = golden["input_ids"][row].contiguous();
  return {ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel()};
}

// Answers of each adapter to texts of several lengths.
std::vector<std::vector<int64_t>> answers_of(Several& all, const GenerationConfig& config,
                                             PrefixCache* cache = nullptr) {
  std::vector<Asked> asked;
  for (int64_t round = 0; round < 3; ++round) {
    for (const auto& model : all.snapshots) asked.push_back({model, text(round * 7, 5 + 20 * round)});
  }
  return generate_batch(*all.decoder, cache, asked, config).answers;
}

}  // namespace

TEST_CASE("every family decodes on a device to the CPU's logits, token by token and in pieces", "[any_device]") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const GoldenFamily golden(name);
      const auto here = load_pretrained(golden_family(name), "float32"),
                 there = load_pretrained(golden_family(name), "float32", {}, {}, device);
      BatchDecoder cpu(*here), decoder(*there);
      const auto expected = cpu.snapshot(*here), found = decoder.snapshot(*there);
      const std::vector<int64_t> ids = golden_ids(golden, 0);
      for (const size_t step : {size_t{1}, size_t{5}, ids.size()}) {
        if (name == "phi3_longrope" && step != ids.size()) continue;  // refuses to grow over its context
        const at::Tensor wanted = read_by_steps(cpu, *expected, ids, step);
        CHECK(largest(read_by_steps(decoder, *found, ids, step) - wanted) < 2e-5 * std::max(1.0, largest(wanted)));
      }
    }
  }
}

TEST_CASE(
    "in bfloat16, and with keys and values of 8 bits, families decode on a device as near to float32 as elsewhere",
    "[any_device]") {
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name) {
      const GoldenFamily golden(name);
      const std::vector<int64_t> ids = golden_ids(golden, 0);
      const at::Tensor wanted = golden["logits"][0];
      const double theirs = (golden["logits_bfloat16"][0].to(at::kFloat) - wanted).norm().item<double>();
      for (const auto& [dtype, kv] : {std::pair("bfloat16", KvDtype::kModel),
                                      {"float16", KvDtype::kModel},
                                      {"bfloat16", KvDtype::kInt8},
                                      {"float32", KvDtype::kInt8}}) {
        INFO(dtype);
        const auto model = load_pretrained(golden_family(name), dtype, {}, {}, device);
        BatchDecoder decoder(*model, kv);
        const auto snapshot = decoder.snapshot(*model);
        const size_t step = name == "phi3_longrope" ? ids.size() : 3;
        const at::Tensor found = read_by_steps(decoder, *snapshot, ids, step);
        CHECK((found - wanted).norm().item<double>() <= 1.5 * theirs);  // of few numbers: it rounds where theirs does
      }
    }
  }
}

TEST_CASE("adapters of every method answer in one batch on a device as on the CPU", "[any_device]") {
  Several here, there("float32", {}, device);
  const GenerationConfig greedy{.max_new_tokens = 12};
  const auto expected = answers_of(here, greedy);
  CHECK(answers_of(there, greedy) == expected);
  // With what it read before: twice, from full pages and from one in its midst.
  PrefixCache cache(*there.decoder, int64_t{1} << 30);
  CHECK(answers_of(there, greedy, &cache) == expected);
  CHECK(answers_of(there, greedy, &cache) == expected);
  const Generated again = generate_batch(*there.decoder, &cache, {{there.snapshots[0], text(14, 45)}}, greedy);
  CHECK(again.read == 1);

  GenerationConfig drawn{.max_new_tokens = 12};
  drawn.sampling = {.temperature = 1, .top_p = 0.9, .repetition_penalty = 1.2, .seed = 3};
  CHECK(answers_of(there, drawn) == answers_of(here, drawn));
}

TEST_CASE("adapters on quantised bases answer on a device as on the CPU", "[any_device]") {
  for (const char* encoding : {"int8", "nf4"}) {
    DYNAMIC_SECTION(encoding) {
      const Quantizer quantizer = make_quantizer({.encoding = encoding});
      Several here("float32", quantizer), there("float32", quantizer, device);
      const GenerationConfig config{.max_new_tokens = 8};
      CHECK(answers_of(there, config) == answers_of(here, config));
    }
  }
}

TEST_CASE("logits come from a device in the caller's order, and the host waits once for all of them") {
  Several here, there("float32", {}, simulated_device());
  const std::vector<int64_t> ids = text(3, 40), next = text(9, 1);
  std::vector<at::Tensor> found;
  for (Several* all : {&here, &there}) {
    std::vector<KvSequence> sequences(4);
    const auto span = [&](size_t i, const std::vector<int64_t>& tokens, size_t model, int64_t logits) {
      return DecoderSpan{&sequences[i], tokens, all->snapshots[model].get(), logits};
    };
    const int64_t before = simulated_reads();
    all->decoder->pass(std::vector{span(0, ids, 0, 0)});
    all->decoder->pass(std::vector{span(1, next, 1, 0), span(2, ids, 0, 0)});
    CHECK(simulated_reads() == before);
    // Beginnings, a piece and single tokens side by side, by three models.
    found.push_back(logits_of_pass(*all->decoder,
                                   {span(0, next, 0, 1), span(1, ids, 1, 3), span(2, next, 0, 1), span(3, ids, 2, 2)}));
    CHECK(simulated_reads() - before == (all == &there ? 1 : 0));
    for (int i = 0; i < 3; ++i) {
      const int64_t step = simulated_reads();
      found.push_back(logits_of_pass(
          *all->decoder, {span(0, next, 0, 1), span(3, next, 2, 1), span(1, next, 1, 1), span(2, next, 0, 1)}));
      CHECK(simulated_reads() - step == (all == &there ? 1 : 0));
    }
  }
  for (size_t i = 0; i < found.size() / 2; ++i) {
    CHECK(largest(found[found.size() / 2 + i] - found[i]) < 2e-5 * largest(found[i]));
  }
}

TEST_CASE("the mean of a text's hidden states is the CPU's, and the host waits once for it in a pass") {
  std::vector<std::vector<double>> means;
  for (const at::Device where : {at::Device(at::kCPU), simulated_device()}) {
    Several all("float32", {}, where);
    ContinuousBatch batch(*all.decoder, nullptr, {.at_once = 4, .prompt_piece = 16});
    for (size_t i = 0; i < 2; ++i) {
      batch.add({.model = all.snapshots[i], .prompt = text(5, 40), .on_mean = [&](std::span<const double> mean) {
                   means.emplace_back(mean.begin(), mean.end());
                 }});
    }
    const int64_t before = simulated_reads();
    while (!batch.is_empty()) batch.pass();
    CHECK(simulated_reads() - before == (where.is_cpu() ? 0 : batch.passes()));
  }
  REQUIRE(means.size() == 4);
  CHECK(means[0] != means[1]);
  for (size_t i = 0; i < 2; ++i) {
    for (size_t k = 0; k < means[i].size(); ++k) CHECK(means[i + 2][k] == Approx(means[i][k]).margin(1e-5));
  }
}

TEST_CASE("where a device has few pages, answers are paused and come out the same", "[any_device]") {
  constexpr int64_t kFew = 7;
  Several plenty("float32", {}, device), few("float32", {}, device, KvDtype::kModel, kFew);
  const GenerationConfig config{.max_new_tokens = 40};
  for (const bool with_cache : {false, true}) {
    std::vector<std::vector<std::vector<int64_t>>> found;
    for (Several* all : {&plenty, &few}) {
      PrefixCache cache(*all->decoder, int64_t{1} << 30);
      ContinuousBatch batch(*all->decoder, with_cache ? &cache : nullptr, {.at_once = 6, .prompt_piece = 20});
      auto& answers = found.emplace_back(all->snapshots.size());
      for (size_t i = 0; i < all->snapshots.size(); ++i) {
        batch.add({.model = all->snapshots[i],
                   .prompt = text(static_cast<int64_t>(i), 30 + 5 * static_cast<int64_t>(i)),
                   .max_new_tokens = 40,
                   .on_token = [&answers, i](int64_t id, std::span<const float>) {
                     answers[i].push_back(id);
                     return true;
                   }});
      }
      while (!batch.is_empty()) batch.pass();
      CHECK((batch.pauses() > 0) == (all == &few));
    }
    CHECK(found[1] == found[0]);
    CHECK(few.decoder->free_pages() == kFew);  // all of them came back
  }
  // A text that has no room even alone.
  const std::vector<Asked> longer = {{few.snapshots[0], text(0, kFew * kPageTokens + 1)}};
  try {
    generate_batch(*few.decoder, nullptr, longer, config);
    FAIL("a text found room that is not there");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kModel);
    CHECK_THAT(error.what(), Contains("no room for the keys and values of more than 224 tokens"));
  }
}

TEST_CASE("pages of a device grow with what they hold, are copied, and come back clean", "[any_device]") {
  for (const at::ScalarType dtype : {at::kFloat, at::kChar}) {
    const KvLayout layout{.layers = 2, .kv_heads = 3, .dim = 4, .dtype = dtype};
    const auto pages = std::make_shared<DevicePages>(layout, device, 40);
    std::vector<std::shared_ptr<KvPage>> held;
    for (int64_t i = 0; i < 40; ++i) {
      held.push_back(pages->new_page());
      for (size_t layer = 0; layer < 2; ++layer) pages->layer(layer).values.select(0, held.back()->place).fill_(i + 1);
    }
    CHECK(pages->free() == 0);
    CHECK_THROWS_WITH(pages->new_page(), Contains("more than 1280 tokens"));
    const auto value = [&](int64_t place, size_t layer) {
      const at::Tensor all = pages->layer(layer).values.select(0, place).cpu();
      CHECK(all.min().item<int64_t>() == all.max().item<int64_t>());
      return all.max().item<int64_t>();
    };
    for (size_t i = 0; i < 40; ++i) CHECK(value(held[i]->place, 1) == static_cast<int64_t>(i) + 1);

    held[5].reset();
    const auto copy = pages->copy_of(*held[7]);
    CHECK(value(copy->place, 0) == 8);
    CHECK(value(copy->place, 1) == 8);
    if (dtype == at::kFloat) {
      pages->layer(1).keys.select(0, held[3]->place).fill_(std::numeric_limits<double>::quiet_NaN());
    }
    held[3].reset();
    const auto fresh = pages->new_page();
    CHECK(pages->layer(1).keys.select(0, fresh->place).cpu().abs().max().item<double>() == 0);
    CHECK(value(fresh->place, 1) == 0);
  }
}
