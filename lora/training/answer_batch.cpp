#include "lora/training/answer_batch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <span>

#include "models/base/numbers.h"
#include "models/engine/devices.h"
#include "models/engine/row_counts.h"

namespace lora {
namespace {

class Builder {
 public:
  explicit Builder(int64_t answers) : lengths_(as_size(answers)), ends_(as_size(answers)) {}

  void begin_sample() { sample_ = std::ssize(ids_); }
  // Adds tokens of the sample; `before`: the row that predicts the first. Of a token that is a target, `answer` counts,
  // of another one `others` (-1: none).
  void add(std::span<const int32_t> ids, std::span<const uint8_t> supervised, int64_t before, int64_t answer,
           int64_t others) {
    for (size_t i = 0; i < ids.size(); ++i) {
      const int64_t predicted_by = i == 0 ? before : std::ssize(ids_) - 1;
      const int64_t of = supervised[i] ? answer : others;
      if (of >= 0 && predicted_by >= sample_) {
        rows_.push_back(predicted_by);
        targets_.push_back(ids[i]);
        answers_.push_back(of);
        lengths_[as_size(of)] += 1;
      }
      ids_.push_back(ids[i]);
    }
  }
  int64_t last_row() const { return std::ssize(ids_) - 1; }
  void end_answer(int64_t answer) { ends_[as_size(answer)] = last_row(); }
  void end_sample(const Fork& fork = {}) {
    batch_.tokens.lengths.push_back(std::ssize(ids_) - sample_);
    batch_.tokens.forks.push_back(fork);
  }

  AnswerBatch finish(const at::Device& device) {
    const int64_t filler = rounded_rows(std::ssize(ids_)) - std::ssize(ids_);
    if (filler > 0) {
      begin_sample();
      ids_.resize(ids_.size() + as_size(filler));
      end_sample();
    }
    const auto tensor = [&](const std::vector<int64_t>& list) {
      return on_device(at::tensor(list, at::kLong), device);
    };
    batch_.tokens.input_ids = tensor(ids_);
    batch_.rows = tensor(rows_);
    batch_.targets = tensor(targets_);
    batch_.answers = tensor(answers_);
    batch_.lengths = on_device(at::tensor(lengths_, at::kDouble), device);
    batch_.ends = tensor(ends_);
    return std::move(batch_);
  }

 private:
  AnswerBatch batch_;
  int64_t sample_ = 0;
  std::vector<int64_t> ids_, rows_, targets_, answers_;
  std::vector<double> lengths_;
  std::vector<int64_t> ends_;
};

// Whether all positions of both texts turn by the same angles.
bool turns_alike(const RopeConfig& rope, const SampleView& sample) {
  if (rope.type != RopeConfig::Type::kLongRope) return true;
  const int64_t original = rope.original_max_position_embeddings;
  const int64_t second = sample.fork.prompt + sample.length() - sample.fork.second;
  return (sample.fork.second > original) == (second > original);
}

}  // namespace

AnswerBatch answer_batch(const LlamaForCausalLM& model, const Dataset& data, const Pass& pass,
                         const AnswerOptions& options) {
  const int64_t n = std::ssize(pass), pairs = data.has_pairs() ? 2 * n : n;
  const int64_t others = options.count_prompts ? pairs : -1;
  Builder builder(pairs + (options.count_prompts ? 1 : 0));
  for (int64_t i = 0; i < n; ++i) {
    const SampleView sample = data[pass[as_size(i)]];
    const auto part = [&](const auto& list, int64_t begin, int64_t end) {
      return list.subspan(as_size(begin), as_size(end - begin));
    };
    const auto add = [&](int64_t begin, int64_t end, int64_t before, int64_t answer, int64_t rest) {
      builder.add(part(sample.ids, begin, end), part(sample.supervised, begin, end), before, answer, rest);
    };
    const auto [prompt, second] = sample.fork;
    const int64_t end = sample.length();
    builder.begin_sample();
    const int64_t begin = builder.last_row() + 1;
    if (second == 0) {
      add(0, end, begin - 1, i, others);
      builder.end_answer(i);
      builder.end_sample();
      continue;
    }
    add(0, second, begin - 1, i, others);
    builder.end_answer(i);
    if (options.share_prompt && turns_alike(model.config().rope, sample)) {
      add(second, end, begin + prompt - 1, n + i, /*rest=*/-1);
      builder.end_answer(n + i);
      builder.end_sample(sample.fork);
      continue;
    }
    builder.end_sample();
    builder.begin_sample();
    add(0, prompt, builder.last_row(), n + i, /*rest=*/-1);
    add(second, end, builder.last_row(), n + i, /*rest=*/-1);
    builder.end_answer(n + i);
    builder.end_sample();
  }
  return builder.finish(model.device());
}

AnswerBatch exchanged_batch(const LlamaForCausalLM& model, const Dataset& data, const Pass& prompts,
                            const Pass& answers) {
  Builder builder(std::ssize(prompts));
  const auto answer_begin = [](const SampleView& sample) {
    return as_size(std::ranges::find(sample.supervised, uint8_t{1}) - sample.supervised.begin());
  };
  for (size_t i = 0; i < prompts.size(); ++i) {
    const SampleView prompt = data[prompts[i]], answer = data[answers[i]];
    const size_t length = answer_begin(prompt), from = answer_begin(answer);
    builder.begin_sample();
    const auto at = static_cast<int64_t>(i);
    builder.add(prompt.ids.first(length), prompt.supervised.first(length), builder.last_row(), at, /*others=*/-1);
    builder.add(answer.ids.subspan(from), answer.supervised.subspan(from), builder.last_row(), at, /*others=*/-1);
    builder.end_answer(at);
    builder.end_sample();
  }
  return builder.finish(model.device());
}

at::Tensor answer_log_probabilities(LlamaForCausalLM& model, const AnswerBatch& batch, ExecutionPlan plan) {
  const at::Tensor log_p = model.log_probabilities(batch.tokens, batch.rows, batch.targets, plan).to(at::kDouble);
  return at::zeros_like(batch.lengths).index_add(0, batch.answers, log_p);
}

at::Tensor values_of(const Pass& pass, const std::function<double(int64_t sample)>& value, const at::Tensor& like) {
  std::vector<double> values;
  for (const int64_t sample : pass) values.push_back(value(sample));
  return at::tensor(values, like.options().requires_grad(false));
}

}  // namespace lora
