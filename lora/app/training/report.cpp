#include "lora/app/training/report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>

#include "lora/app/training/confusion_report.h"
#include "lora/app/training/machine.h"
#include "lora/terminal/facts.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "models/engine/aten/flash_attention.h"

namespace lora {
namespace {

// Short enough to read, exact enough to copy into a recipe.
std::string plain(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%g", value);
  return buffer;
}

std::string labelled(const std::string& adapter) { return adapter.empty() ? "" : adapter + "  "; }

}  // namespace

std::string work_of(const std::string& adapter, const std::string& work) {
  return adapter.empty() ? work : adapter + ": " + work;
}

TextTable adapted_kinds(const AdaptedModel& adapted) {
  struct Kind {
    std::string name, rank, alpha, shape;
    int64_t modules = 0, parameters = 0;
  };
  std::vector<Kind> kinds;
  for (const AdaptedModule& module : adapted.modules) {
    const AdapterLinear& layer = *module.layer;
    Kind kind{kind_of(module.path), std::to_string(layer.rank()), plain(layer.alpha()),
              std::to_string(layer.out_features()) + " × " + std::to_string(layer.in_features())};
    auto same = std::ranges::find_if(kinds, [&](const Kind& k) {
      return k.name == kind.name && k.rank == kind.rank && k.alpha == kind.alpha && k.shape == kind.shape;
    });
    if (same == kinds.end()) same = kinds.insert(kinds.end(), kind);
    ++same->modules;
    for (const at::Tensor& tensor : layer.parameters()) same->parameters += tensor.requires_grad() ? tensor.numel() : 0;
  }
  TextTable content{{}, {false, true, true, true, true, true}};
  if (!kinds.empty()) content.rows.push_back({"adapted", "modules", "rank", "alpha", "shape", "trained"});
  for (const Kind& kind : kinds) {
    content.rows.push_back(
        {kind.name, std::to_string(kind.modules), kind.rank, kind.alpha, kind.shape, with_commas(kind.parameters)});
  }
  return content;
}

std::string trained_line(const AdaptedModel& adapted) {
  const double share =
      100.0 * static_cast<double>(adapted.trainable_parameters) / static_cast<double>(adapted.total_parameters);
  return with_commas(adapted.trainable_parameters) + " of " + with_commas(adapted.total_parameters) +
         " parameters are trained (" + fixed(share, share < 1 ? 3 : 1) + " %)";
}

std::string adaptation_table(const AdaptedModel& adapted) {
  std::string text = table(adapted_kinds(adapted));
  if (adapted.embedding) {
    text += indented(std::string(kEmbeddingPath) + ": " + adapted.embedding->description() +
                         (adapted.tied_head ? ", for the head too, which is tied to it" : ""),
                     2);
  }
  std::map<std::string, int64_t> saved;
  for (const std::string& path : adapted.saved_modules) ++saved[kind_of(path)];
  for (const std::string& path : adapted.biases) ++saved[kind_of(path)];
  std::vector<std::vector<std::string>> saved_rows;
  if (!saved.empty()) saved_rows.push_back({"trained whole", "modules"});
  for (const auto& [name, count] : saved) saved_rows.push_back({name, std::to_string(count)});
  return text + table(saved_rows, {false, true}) + indented(trained_line(adapted), 2);
}

std::string dataset_line(const Dataset& dataset) {
  std::string line = with_commas(dataset.size()) + " samples, " + with_commas(dataset.tokens()) + " tokens";
  const bool labelled = dataset.size() > 0 && dataset.label(0) != kNoLabel;
  if (!labelled) line += ", " + with_commas(dataset.supervised_tokens()) + " of them trained";
  const SourceCounts counts = dataset.counts();
  const auto say = [&](int64_t count, const char* what) {
    if (count > 0) line += "; " + with_commas(count) + what;
  };
  say(counts.cut, " cut at max_length");
  say(counts.split, " split at max_length");
  say(counts.too_long, " dropped: longer than max_length");
  say(counts.untrained, " dropped: nothing in them is trained");
  if (counts.answers > 0) say(counts.answers - counts.ended, " without a trained end");
  return line;
}

std::string labels_line(const Dataset& dataset, const LabelNames& names, bool all) {
  constexpr size_t kFew = 20;
  std::vector<int64_t> counts(names.size(), 0);
  for (int64_t i = 0; i < dataset.size(); ++i) ++counts[static_cast<size_t>(dataset.label(i))];
  const std::string number = with_commas(std::ssize(names));
  if (!all && names.size() > kFew) {
    const auto [least, most] = std::ranges::minmax_element(counts);
    const auto name_at = [&](auto place) { return one_line(names[static_cast<size_t>(place - counts.begin())], 60); };
    return number + ", with " + with_commas(*least) + " (" + name_at(least) + ") to " + with_commas(*most) + " (" +
           name_at(most) + ") samples each; --dry-run lists them";
  }
  std::string line = number + ": ";
  for (size_t i = 0; i < names.size(); ++i) {
    line += (i > 0 ? ", " : "") + one_line(names[i], 60) + " (" + with_commas(counts[i]) + ")";
  }
  return line;
}

std::string profile_table(const WorkTimes& times, int64_t steps, double seconds, double peak) {
  const std::array<const char*, static_cast<size_t>(Work::kCount)> names = {
      "products", "adapters", "attention", "head and loss", "elementwise", "optimizer", "data"};
  std::vector<std::vector<std::string>> rows = {{"a step", "ms", "share", "GFLOP/s", "of the peak"}};
  double rest = seconds;
  const auto add = [&](const std::string& name, double s, double flops) {
    std::vector<std::string> row = {name, fixed(1e3 * s / static_cast<double>(steps), 1),
                                    fixed(100 * s / seconds, 1) + " %", "", ""};
    if (flops > 0 && s > 0) {
      row[3] = fixed(flops / s / 1e9, 0);
      row[4] = fixed(100 * flops / s / peak, 0) + " %";
    }
    rows.push_back(row);
  };
  double flops = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    add(names[i], times.seconds[i], times.flops[i]);
    rest -= times.seconds[i];
    flops += times.flops[i];
  }
  add("everything else", rest, 0);
  add("all", seconds, flops);
  return table(rows, {false, true, true, true, true}) +
         indented(
             "the peak is " + fixed(peak / 1e9, 0) + " GFLOP/s, measured on a product of this machine's and this dtype",
             2);
}

namespace {

// On a GPU: what computes attention.
std::string attention_note(const LlamaForCausalLM& model) {
  if (model.device().is_cpu()) return "";
  for (const auto& layer : model.model->layers) {
    const std::string problem = aten::flash_attention_problem(model.device(), model.dtype(), layer->structure().heads,
                                                              layer->structure().scores);
    if (!problem.empty()) return "; attention without flash attention, as " + problem;
  }
  return "; flash attention";
}

}  // namespace

std::string layers_line(const LlamaForCausalLM& model, ExecutionPlan plan) {
  std::map<std::string, std::vector<size_t>> plain;  // why -> layers
  const auto& layers = model.model->layers;
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto form = layers[i]->fused_form(model.dtype());
    const auto* not_fused = std::get_if<NotFused>(&form);
    if (!plan.fused) {
      plain["training.fused is false"].push_back(i);
    } else if (not_fused) {
      plain[not_fused->reason()].push_back(i);
    }
  }
  size_t count = 0;
  std::string reasons;
  for (const auto& [why, which] : plain) {
    count += which.size();
    const bool run = which.back() - which.front() + 1 == which.size();
    std::string range = std::to_string(which.front());
    if (which.size() > 1) range += run ? " to " + std::to_string(which.back()) : " and others";
    reasons += "; plain: " + (which.size() == layers.size() ? "all" : range) + ", as " + why;
  }
  reasons += attention_note(model);
  if (!model.unadapted_head_weight().defined()) reasons += "; the head is adapted: plain, with all logits at once";
  return std::to_string(layers.size() - count) + " of " + std::to_string(layers.size()) + " fused" + reasons;
}

std::string memory_line(const MemoryPlan& plan) {
  return "about " + as_bytes(plan.total()) + " at the peak: weights " + as_bytes(plan.weights) + ", optimizer " +
         as_bytes(plan.optimizer) + ", activations " + as_bytes(plan.activations + plan.workspace) +
         ", program and data " + as_bytes(plan.process) +
         (plan.fetched > 0 ? "; layers of " + as_bytes(plan.fetched) +
                                 " stay in the host's memory, from which they are fetched one after another"
                           : "");
}

std::string passes_line(ExecutionPlan plan) {
  std::string line = with_commas(plan.tokens) + " tokens each, ";
  if (!plan.fused) return line + "plain autograd: what activations need is a rough guess";
  line += plan.recompute == Recompute::kNone     ? "nothing computed twice"
          : plan.recompute == Recompute::kGateUp ? "gate and up computed twice"
                                                 : "layers computed twice";
  return line + (plan.release_weights ? ", weights read from the file each time" : "");
}

std::string groups_table(const std::vector<ParameterGroup>& groups) {
  std::vector<std::vector<std::string>> rows = {{"group", "tensors", "parameters", "rate"}};
  for (const ParameterGroup& group : groups) {
    int64_t count = 0;
    for (const auto& [path, tensor] : group.parameters) count += tensor.numel();
    rows.push_back(
        {group.name, std::to_string(group.parameters.size()), with_commas(count), plain(group.learning_rate)});
  }
  return table(rows, {false, true, true, true});
}

std::string answers_report(const std::vector<Question>& questions, const Answers* before, const Answers& after,
                           int64_t show) {
  const auto percent = [&](const Answers& answers) {
    return fixed(100.0 * static_cast<double>(answers.exact) / static_cast<double>(questions.size()), 1) + " %";
  };
  std::string text =
      sentence("Answers to " + with_commas(std::ssize(questions)) + " held-out rows, exact match: " +
               (before ? percent(*before) + " before, " + percent(after) + " after training" : percent(after)));
  for (size_t i = 0; i < std::min(questions.size(), static_cast<size_t>(std::max<int64_t>(0, show))); ++i) {
    std::vector<std::vector<std::string>> rows = {{"prompt", one_line(strip(questions[i].text), 300)},
                                                  {"expected", one_line(strip(questions[i].expected), 100)}};
    if (before) rows.push_back({"before", one_line(before->texts[i], 100)});
    rows.push_back({before ? "after" : "answer", one_line(after.texts[i], 100)});
    text += "\n" + named_rows(rows);
  }
  return text;
}

namespace {

// "  margin 0.123  accuracy 75 %" of a preference step; empty for another.
std::string preference_text(const Measures& measures) {
  std::string text;
  for (const auto& [shown, names] : {std::pair("margin", std::array{"rewards/margins", "margin"}),
                                     std::pair("accuracy", std::array{"rewards/accuracies", "accuracy"})}) {
    for (const char* name : names) {
      const Measures::Mean* mean = measures.find(name);
      if (mean) text += "  " + std::string(shown) + " " + fixed(mean->value(), 3);
    }
  }
  return text;
}

}  // namespace

ProgressStep progress_step(const StepMetrics& metrics, at::Device device, const std::string& adapter) {
  return {.number = metrics.step,
          .tokens = metrics.tokens,
          .seconds = metrics.seconds,
          .before = labelled(adapter) + "loss " + fixed(metrics.loss, 4) + preference_text(metrics.measures),
          .after = as_bytes(peak_memory_bytes(device)),
          .loss = metrics.loss,
          .detail = "lr " + as_scientific(metrics.lr),
          .note = metrics.overflowed ? "skipped: loss scale halved"
                  : metrics.skipped  ? "skipped: not finite"
                                     : ""};
}

std::string evaluation_line(const Evaluation& evaluation, bool best, const std::string& adapter) {
  const Confusion& confusion = evaluation.confusion;
  const std::string beside = !confusion.empty() ? "  " + accuracy_line(confusion)
                             : evaluation.measures.means().empty()
                                 ? "  perplexity " + fixed(std::exp(evaluation.loss), 3)
                                 : preference_text(evaluation.measures);
  return labelled(adapter) + "validation loss " + fixed(evaluation.loss, 4) + beside + (best ? "  (best so far)" : "");
}

}  // namespace lora
