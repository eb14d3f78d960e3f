// Answers written side by side: each is what it would be alone, and adapters do not mix.

#include "lora/inference/continuous_batch.h"

#include <ATen/ATen.h>

#include <set>

#include "lora/inference/plain_generation.h"
#include "lora/quantization/quantizer.h"
#include "tests/catch.h"
#include "tests/inference/several_adapters.h"

using namespace lora;
using namespace lora::test;

TEST_CASE("answers by adapters of every method in one batch are those of each adapter alone on the plain path") {
  Several all;
  const GenerationConfig config{.max_new_tokens = 12};
  std::vector<Asked> asked;
  std::vector<std::vector<int64_t>> expected;
  for (int64_t round = 0; round < 3; ++round) {
    for (size_t i = 0; i < all.names.size(); ++i) {
      asked.push_back({all.snapshots[i], text(round * 7, 5 + 20 * round)});
      all.use(i);
      expected.push_back(generate_plainly(*all.model, {asked.back().prompt}, config).answers[0]);
    }
  }
  all.set.deactivate();
  CHECK(std::set(expected.begin(), expected.end()).size() > all.names.size());  // they do say different things
  CHECK(generate_batch(*all.decoder, nullptr, asked, config).answers == expected);
}

TEST_CASE("each answer tells its end, in the batch and on the plain path") {
  Several all;
  int64_t ended = 0;
  GenerationConfig config{.max_new_tokens = 12};
  config.on_end = [&] { ++ended; };
  std::vector<Asked> asked;
  std::vector<std::vector<int64_t>> prompts;
  for (int64_t i = 0; i < 40; ++i) prompts.push_back(text(i, 5));
  for (const auto& prompt : prompts) asked.push_back({all.snapshots.back(), prompt});
  const auto answers = generate_batch(*all.decoder, nullptr, asked, config).answers;
  CHECK(ended == 40);
  // Some end before the others: by a token, or because the caller has enough.
  config.eos_ids = {answers[3][2]};
  ended = 0;
  generate_plainly(*all.model, prompts, config,
                   [](size_t prompt, int64_t, std::span<const float>) { return prompt != 5; });
  CHECK(ended == 40);
}

TEST_CASE("with a quantised base too") {
  for (const char* encoding : {"int8", "nf4"}) {
    for (const bool nested : {true, false}) {
      DYNAMIC_SECTION(encoding << nested) {
        Several all("float32", make_quantizer({.encoding = encoding, .double_quantization = nested}));
        const GenerationConfig config{.max_new_tokens = 8};
        std::vector<Asked> asked;
        std::vector<std::vector<int64_t>> expected;
        for (size_t i = 0; i < all.names.size(); ++i) {
          asked.push_back({all.snapshots[i], text(static_cast<int64_t>(i), 9)});
          all.use(i);
          expected.push_back(generate_plainly(*all.model, {asked.back().prompt}, config).answers[0]);
        }
        all.set.deactivate();
        CHECK(generate_batch(*all.decoder, nullptr, asked, config).answers == expected);
      }
    }
  }
}

TEST_CASE("a known beginning is not read again, and never another adapter's") {
  Several all;
  PrefixCache cache(*all.decoder, int64_t{1} << 30);
  const GenerationConfig config{.max_new_tokens = 6};
  const std::vector<int64_t> prompt = text(0, 50);
  const auto ask = [&](size_t i, const std::vector<int64_t>& ids, PrefixCache* known) {
    return generate_batch(*all.decoder, known, {{all.snapshots[i], ids}}, config);
  };
  for (size_t i = 0; i < all.names.size(); ++i) {
    const Generated fresh = ask(i, prompt, nullptr), first = ask(i, prompt, &cache), again = ask(i, prompt, &cache);
    CHECK(first.read == 50);  // nothing of the adapters before it
    CHECK(again.read == 1);
    CHECK(first.answers == fresh.answers);
    CHECK(again.answers == fresh.answers);
    // The answer is known too, but for its last token.
    std::vector<int64_t> longer = prompt;
    longer.insert(longer.end(), fresh.answers[0].begin(), fresh.answers[0].end());
    longer.push_back(3);
    const Generated after = ask(i, longer, &cache);
    CHECK(after.read == 2);
    CHECK(after.answers == ask(i, longer, nullptr).answers);
    // A text that parts within a page leaves that page to the others as it is.
    std::vector<int64_t> parted = prompt;
    parted[40] = (parted[40] + 1) % 48;
    CHECK(ask(i, parted, &cache).read == 10);
    CHECK(ask(i, prompt, &cache).answers == fresh.answers);
  }
  cache.forget(all.snapshots[0]);
  CHECK(ask(0, prompt, &cache).read == 50);
}

TEST_CASE("a cache without room keeps what was used last") {
  Several all;
  const int64_t page = all.decoder->layout().page_bytes();
  PrefixCache cache(*all.decoder, 2 * page);
  const GenerationConfig config{.max_new_tokens = 1};
  const auto read = [&](int64_t first, int64_t count) {
    return generate_batch(*all.decoder, &cache, {{all.snapshots[0], text(first, count)}}, config).read;
  };
  CHECK(read(0, 20) == 20);
  CHECK(read(100, 20) == 20);
  CHECK(read(0, 20) == 1);
  CHECK(read(200, 20) == 20);  // 100 goes
  CHECK(read(0, 20) == 1);
  CHECK(read(100, 20) == 20);
  CHECK(read(300, 100) == 100);  // does not fit at all
  CHECK(cache.bytes() <= 2 * page);
}

TEST_CASE("answers that come and go at any time are what they are alone") {
  Several all;
  const GenerationConfig config{.max_new_tokens = 10};
  struct One {
    size_t model;
    std::vector<int64_t> prompt, answer;
    bool ended = false;
  };
  std::vector<One> asked;
  for (size_t i = 0; i < 24; ++i) {
    asked.push_back({i % all.names.size(), text(static_cast<int64_t>(i), 1 + static_cast<int64_t>(i * 13 % 90)), {}});
  }
  ContinuousBatch batch(*all.decoder, nullptr, {.at_once = 5, .prompt_piece = 40});
  size_t next = 0;
  for (int pass = 0; next < asked.size() || !batch.is_empty(); ++pass) {
    for (int i = 0; i < 1 + pass % 3 && next < asked.size(); ++i, ++next) {
      One& one = asked[next];
      batch.add({.model = all.snapshots[one.model],
                 .prompt = one.prompt,
                 .max_new_tokens = config.max_new_tokens,
                 .on_token =
                     [&one](int64_t id, std::span<const float>) {
                       one.answer.push_back(id);
                       return one.answer.size() < 3 + one.prompt.size() % 9;
                     },
                 .on_end = [&one](AnswerEnd, int64_t) { one.ended = true; }});
    }
    batch.pass();
    CHECK(batch.running() <= 5);
  }
  for (const One& one : asked) {
    CHECK(one.ended);
    all.use(one.model);
    auto expected = generate_plainly(*all.model, {one.prompt}, config).answers[0];
    expected.resize(one.answer.size());
    CHECK(one.answer == expected);
  }
}

TEST_CASE("an answer nobody wants any more leaves, and the others stay") {
  Several all;
  ContinuousBatch batch(*all.decoder, nullptr);
  bool unwanted = false;
  int64_t first = 0, second = 0;
  AnswerEnd end = AnswerEnd::kLength;
  batch.add({.model = all.snapshots[0],
             .prompt = {1, 2, 3},
             .max_new_tokens = 100,
             .on_token = [&](int64_t, std::span<const float>) { return ++first, true; },
             .on_end = [](AnswerEnd, int64_t) { FAIL("it was not wanted"); },
             .is_unwanted = [&] { return unwanted; }});
  batch.add({.model = all.snapshots[1],
             .prompt = {4, 5},
             .max_new_tokens = 8,
             .on_token = [&](int64_t, std::span<const float>) { return ++second < 6; },
             .on_end = [&](AnswerEnd how, int64_t) { end = how; }});
  for (; !batch.is_empty(); batch.pass()) unwanted = first >= 3;
  CHECK(first == 3);
  CHECK(second == 6);
  CHECK(end == AnswerEnd::kStopped);
}

TEST_CASE("the mean of a text's hidden states is the network's, by every adapter, beside answers that are written") {
  const at::NoGradGuard no_gradients;
  Several all;
  PrefixCache cache(*all.decoder, int64_t{1} << 30);
  ContinuousBatch batch(*all.decoder, &cache, {.at_once = 6, .prompt_piece = 37});
  std::vector<std::vector<int64_t>> prompts;
  std::vector<std::vector<double>> means(2 * all.names.size());
  std::vector<std::vector<int64_t>> written(means.size());
  size_t ended = 0;
  for (size_t i = 0; i < means.size(); ++i) {
    prompts.push_back(text(static_cast<int64_t>(i % 3), 1 + static_cast<int64_t>(i * 29 % 120)));
    const auto& model = all.snapshots[i % all.names.size()];
    batch.add({.model = model,
               .prompt = prompts[i],
               .on_mean =
                   [&, i](std::span<const double> mean) {
                     CHECK(means[i].empty());
                     means[i].assign(mean.begin(), mean.end());
                   },
               .on_end =
                   [&](AnswerEnd how, int64_t known) {
                     CHECK(how == AnswerEnd::kWhole);
                     CHECK(known == 0);
                     ++ended;
                   }});
    batch.add({.model = model,
               .prompt = prompts[i],
               .max_new_tokens = 5,
               .on_token = [&, i](int64_t id, std::span<const float>) { return written[i].push_back(id), true; }});
  }
  while (!batch.is_empty()) batch.pass();
  CHECK(ended == means.size());
  for (size_t i = 0; i < means.size(); ++i) {
    CAPTURE(i);
    all.use(i % all.names.size());
    TokenBatch one;
    one.input_ids = at::tensor(prompts[i], at::kLong);
    one.lengths = {static_cast<int64_t>(prompts[i].size())};
    const at::Tensor expected = all.model->model->forward(one).to(at::kDouble).mean(0);
    CHECK((at::tensor(means[i], at::kDouble) - expected).abs().max().item<double>() < 1e-5);
    CHECK(written[i] == generate_plainly(*all.model, {prompts[i]}, {.max_new_tokens = 5}).answers[0]);
  }
}
