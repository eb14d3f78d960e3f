// Reads rotary embeddings from config.json. transformers 5 writes `rope_parameters`; earlier versions write
// `rope_scaling` and `rope_theta`.
#include <algorithm>
#include <cmath>

#include "models/network/config_fields.h"

namespace lora {
namespace {

using Type = RopeConfig::Type;

Type rope_type(const Fields& rope, const RopeDefaults& defaults) {
  std::string name = rope.text("rope_type", rope.text("type", "default"));
  if (defaults.yarn_is_longrope && (name == "su" || name == "yarn")) name = "longrope";
  constexpr std::pair<const char*, Type> kTypes[] = {{"default", Type::kDefault}, {"dynamic", Type::kDefault},
                                                     {"linear", Type::kLinear},   {"llama3", Type::kLlama3},
                                                     {"yarn", Type::kYarn},       {"longrope", Type::kLongRope}};
  for (const auto& [known, type] : kTypes) {
    if (name == known) return type;
  }
  rope.fail("rope_type", "is '" + name + "'; supported are default, linear, dynamic, llama3, yarn and longrope");
}

double yarn_attention(double scale, double mscale) { return scale <= 1 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0; }

void read_yarn(const Fields& from, RopeConfig& rope) {
  rope.beta_fast = from.positive("beta_fast", 32);
  rope.beta_slow = from.positive("beta_slow", 1);
  rope.truncate = from.flag("truncate", true);
  rope.attention_factor = from.positive("attention_factor", yarn_attention(rope.factor, 1));
  if (!from.has("attention_factor") && from.has("mscale") && from.has("mscale_all_dim")) {
    rope.attention_factor = yarn_attention(rope.factor, from.positive("mscale", 1)) /
                            yarn_attention(rope.factor, from.positive("mscale_all_dim", 1));
  }
}

void read_longrope(const Fields& from, int64_t pairs, RopeConfig& rope) {
  const auto context = static_cast<double>(rope.original_max_position_embeddings);
  rope.attention_factor = from.positive(
      "attention_factor", rope.factor <= 1 ? 1.0 : std::sqrt(1.0 + std::log(rope.factor) / std::log(context)));
  const auto factors = [&](const char* key) {
    std::vector<double> found = from.numbers(key);
    if (static_cast<int64_t>(found.size()) != pairs) {
      from.fail(key, "has " + std::to_string(found.size()) + " numbers; expected one for each of " +
                         std::to_string(pairs) + " pairs of dimensions");
    }
    return found;
  };
  rope.short_factor = factors("short_factor");
  rope.long_factor = factors("long_factor");
}

void read_llama3(const Fields& from, RopeConfig& rope) {
  rope.low_freq_factor = from.positive("low_freq_factor", 1.0);
  rope.high_freq_factor = from.positive("high_freq_factor", 4.0);
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    from.fail("high_freq_factor", "is not above 'low_freq_factor'");
  }
}

// The number of leading dimensions of a head that are rotated; 0 means all.
int64_t rotary_dim(const Fields& rope, const Fields& fields, const ModelConfig& config, const RopeDefaults& defaults) {
  const double part = rope.positive("partial_rotary_factor", fields.positive("partial_rotary_factor", 1.0));
  const auto dim = static_cast<int64_t>(static_cast<double>(config.head_dim) * part);
  if (dim == config.head_dim) return 0;
  if (!defaults.partial) rope.fail("partial_rotary_factor", "is not 1; this family turns whole heads");
  if (dim > config.head_dim || dim < 2 || dim % 2 != 0) {
    rope.fail("partial_rotary_factor", "makes " + std::to_string(dim) + " of " + std::to_string(config.head_dim) +
                                           " dimensions turn; expected pairs of them");
  }
  return dim;
}

}  // namespace

RopeConfig read_rope_object(const Fields& from, const Fields& fields, const ModelConfig& config,
                            const RopeDefaults& defaults) {
  RopeConfig rope;
  rope.theta = from.positive("rope_theta", fields.positive(defaults.theta_key, defaults.theta));
  rope.dim = rotary_dim(from, fields, config, defaults);
  rope.type = rope_type(from, defaults);
  if (from.text("rope_type", from.text("type", "")) == "dynamic") rope.most_positions = config.max_position_embeddings;
  if (rope.type == Type::kDefault) return rope;
  // The key in config.json itself takes precedence, as in transformers.
  const std::optional<int64_t> outside = fields.has("original_max_position_embeddings")
                                             ? fields.size("original_max_position_embeddings")
                                             : defaults.original_positions;
  rope.original_max_position_embeddings =
      outside ? *outside : from.size("original_max_position_embeddings", config.max_position_embeddings);
  if (!from.has("factor") && rope.type != Type::kLongRope) {
    from.fail("factor", "is missing; rope_type '" + from.text("rope_type", from.text("type", "")) + "' needs it");
  }
  rope.factor = from.positive("factor", static_cast<double>(config.max_position_embeddings) /
                                            static_cast<double>(rope.original_max_position_embeddings));
  if (rope.type == Type::kLlama3) read_llama3(from, rope);
  if (rope.type == Type::kYarn) read_yarn(from, rope);
  if (rope.type == Type::kLongRope) read_longrope(from, rope.rotated(config.head_dim) / 2, rope);
  return rope;
}

RopeConfig read_rope(const Fields& fields, const ModelConfig& config, const RopeDefaults& defaults) {
  const char* key = fields.has("rope_scaling") ? "rope_scaling" : "rope_parameters";
  static const nlohmann::json kNone = nlohmann::json::object();
  if (!fields.has(key)) return read_rope_object(Fields(kNone, "config.json"), fields, config, defaults);
  const Fields rope = fields.object(key);
  for (const char* type : {"full_attention", "sliding_attention"}) {
    if (rope.has(type)) rope.fail(type, "is set; this family's layers all have the same positions");
  }
  return read_rope_object(rope, fields, config, defaults);
}

}  // namespace lora
