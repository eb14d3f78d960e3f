#include "lora/jinja/budget.h"

#include <string>

#include "lora/jinja/error.h"
#include "lora/jinja/value.h"

namespace lora::jinja {
namespace {

thread_local Budget* current = nullptr;

}  // namespace

Budget::Budget(const Limits& limits) : limits_(limits), before_(current) { current = this; }

Budget::~Budget() {
  for (const std::shared_ptr<Dict>& dict : kept_) dict->entries.clear();
  current = before_;
}

void Budget::pay_steps(int64_t count) {
  if (!current) return;
  current->steps_ += count;
  if (current->steps_ > current->limits_.steps) {
    throw TemplateError("takes more than " + std::to_string(current->limits_.steps) + " steps");
  }
}

void Budget::pay_bytes(size_t bytes) {
  if (!current) return;
  current->bytes_ += bytes;
  if (current->bytes_ > current->limits_.made_bytes) {
    throw TemplateError("makes texts and lists of more than " + std::to_string(current->limits_.made_bytes) +
                        " bytes in all");
  }
}

void Budget::keep(const std::shared_ptr<Dict>& dict) {
  if (current) current->kept_.push_back(dict);
}

}  // namespace lora::jinja
