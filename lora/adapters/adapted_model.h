#pragma once
// A model with an adapter: the network, what of it is adapted or trained, and the adapter's config. Everything that
// trains, saves, merges or exports an adapter takes one of these.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/adapter_embedding.h"
#include "lora/adapters/adapter_linear.h"
#include "lora/adapters/config.h"
#include "models/network/decoder.h"

namespace lora {

inline constexpr const char* kEmbeddingPath = "model.embed_tokens";
inline constexpr const char* kHeadPath = "lm_head";

struct AdaptedModule {
  std::string path;                      // of the Linear whose place it takes
  std::shared_ptr<AdapterLinear> layer;  // holds that Linear
  std::shared_ptr<LinearHost> host;      // the module of the network that has the place
};

struct AdapterSwitch;  // whether the adapter is in the network, and what it takes to change that

// Made by inject(). It shares the network, its layers and its on/off state: a copy means the same adapter of the same
// network. The network does not know of it and lives on without it. One thread at a time.
struct AdaptedModel {
  std::shared_ptr<LlamaForCausalLM> model;
  AdapterConfig config;  // with resolved_method()
  std::vector<AdaptedModule> modules;
  std::shared_ptr<AdapterEmbedding> embedding;  // at kEmbeddingPath; null: not adapted
  std::shared_ptr<Linear> own_head;             // a head that was put apart from embed_tokens; null: none was
  std::vector<std::string> saved_modules;       // trained whole (modules_to_save); all, where the network is trained
  std::vector<std::string> biases;              // trained by `bias`: parameters of the model
  std::vector<std::string> notes;               // what config.file says that means nothing here; see match_modules()
  bool tied_head = false;                       // what is done to embed_tokens is done to the head, which is tied to it
  int64_t trainable_parameters = 0;
  int64_t total_parameters = 0;  // of the base and the adapter; a quantized weight counts as what it stands for
  std::shared_ptr<AdapterSwitch> adapter_switch;  // null: of a bare model, or where the network itself is trained
};

// Takes the adapter out of the network, which is then the bare base, or puts it in. Microseconds: layers change places
// and no weight is copied. An adapter that is there already, or away already, stays so. At most one adapter may be in a
// network. Error (exit code 2) to detach where the network itself is trained (method full): its base is gone.
//
// The bare base is exact. Modules trained whole (modules_to_save), trained biases and a head that was put apart have
// the base's values again, and while these are in the network they need no gradient and have none. For that an adapter
// holds the base's values of what it trains whole: views of the weights' file, unless the file has another dtype.
void detach(const AdaptedModel& adapted);
void attach(const AdaptedModel& adapted);

// The adapter is out of the network while this lives. Nests; a forward pass that was recorded before may be
// differentiated after. Not to be mixed with the activate() of an AdapterSet inside one scope.
class AdaptersOff {
 public:
  explicit AdaptersOff(const AdaptedModel& adapted);
  ~AdaptersOff();
  AdaptersOff(const AdaptersOff&) = delete;
  AdaptersOff& operator=(const AdaptersOff&) = delete;

 private:
  const AdaptedModel& adapted_;
  bool was_on_;
};

// For inject(): a switch that is on.
std::shared_ptr<AdapterSwitch> new_switch();
// For inject(), before `parameter` is trained whole: keeps the base's values of it.
void keep_base(AdapterSwitch& adapter_switch, const at::Tensor& parameter);
// Whether a parameter of the network is trained whole.
bool trains_whole(const AdaptedModel& adapted);

// The same adapter of the same network with a switch of its own that is off, so that other layers over the same bases
// may take the place of its own: for files, or to be attached.
AdaptedModel unattached(const AdaptedModel& adapted);

// PEFT's name for what is adapted, "CAUSAL_LM" or "SEQ_CLS".
std::string task_type(const LlamaForCausalLM& model);

// modules_to_save and, in a classifier, its head: an adapter of a classifier always trains that whole, as in PEFT.
std::vector<std::string> modules_to_save(const LlamaForCausalLM& model, const AdapterConfig& config);

struct TrainedParameter {
  std::string path;  // "model.layers.0.self_attn.q_proj.lora_A"
  at::Tensor tensor;
  ParameterRole role;
};

// The parameters that require a gradient, in the model's order.
std::vector<TrainedParameter> trainable_parameters(const LlamaForCausalLM& model);

}  // namespace lora
