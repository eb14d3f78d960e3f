#pragma once
// A training's second stage: the adapter is in the model, the trainer stands at the first step, the passes are planned.

#include <memory>
#include <string>
#include <vector>

#include "lora/adapters/adapter_set.h"
#include "lora/app/training/prepared_run.h"
#include "lora/export/export.h"
#include "lora/training/memory_plan.h"
#include "lora/training/trainer.h"

namespace lora {

// Move-only. The adapter set is borrowed.
struct PlannedRun {
  PreparedRun prepared;
  AdapterSet* set;
  AdaptedModel adapted = {};
  std::unique_ptr<Trainer> trainer = {};  // refers to prepared.data
  DataNeed need = {};                     // of all runs of the process together
  MemoryPlan plan = {};

  const std::string& name() const { return prepared.name; }
  const Recipe& recipe() const { return prepared.recipe; }
  LlamaForCausalLM& model() const { return *adapted.model; }
  // Makes this run's adapter the model's active one. Every function that computes with the model calls it first.
  void activate() const;
  // What an export of the adapter as it is now reads.
  ExportSource export_source() const;
};

// What a run's data asks for; reads all of its tokens.
DataNeed data_need_of(const PreparedRun& run, int64_t vocabulary);

// Injects the run's adapter: under its name into the set, or into the set's model where it has no name. Throws as
// inject does, and where an export of the recipe cannot be written of such a model.
PlannedRun adapt(PreparedRun prepared, AdapterSet& set);

// Plans each run's passes beside what the other runs hold. The largest plan is the process's peak.
void plan_memory_of(std::vector<PlannedRun>& runs, const MemoryRoom& room);

}  // namespace lora
