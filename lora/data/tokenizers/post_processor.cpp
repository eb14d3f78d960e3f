#include "lora/data/tokenizers/post_processor.h"

#include <nlohmann/json.hpp>

#include "models/base/did_you_mean.h"

namespace lora {
namespace {

void put(std::optional<std::string>& place, const std::string& name, const JsonView& where) {
  if (place) where.fail("'" + *place + "' and '" + name + "' on one side of a text: only one token is supported");
  place = name;
}

// [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]
void read_template(const JsonView& object, Surroundings& found) {
  bool text = false;
  for (const JsonView& part : object.at("single").elements()) {
    if (part.find("Sequence")) {
      if (text) part.fail("a text that stands twice in a template is not supported");
      text = true;
    } else {
      const std::string& name = part.at("SpecialToken").at("id").string();
      const auto tokens = object.at("special_tokens").at(name).at("tokens").elements();
      if (tokens.size() != 1) part.fail("'" + name + "' is several tokens, which is not supported");
      put(text ? found.behind : found.before, tokens[0].string(), part);
    }
  }
  if (!text) object.at("single").fail("a template without a text");
}

// ["[SEP]", 102]
std::string pair_name(const JsonView& pair) {
  const auto elements = pair.elements();
  if (elements.empty()) pair.fail("found an empty array, expected a token and its id");
  return elements[0].string();
}

void add(const JsonView& object, Surroundings& found) {
  const std::string& type = object.at("type").string();
  if (type == "Sequence") {
    for (const JsonView& step : object.at("processors").elements()) {
      if (step.at("type").string() == "Sequence") step.fail("a Sequence inside a Sequence is not supported");
      add(step, found);
    }
  } else if (type == "TemplateProcessing") {
    read_template(object, found);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    put(found.before, pair_name(object.at("cls")), object);
    put(found.behind, pair_name(object.at("sep")), object);
  } else if (type != "ByteLevel") {
    object.at("type").fail(
        "post-processor '" + type + "' is not supported" +
        did_you_mean(type, {"TemplateProcessing", "ByteLevel", "Sequence", "BertProcessing", "RobertaProcessing"}));
  }
}

}  // namespace

Surroundings read_post_processor(const JsonView& object) {
  Surroundings found;
  add(object, found);
  return found;
}

}  // namespace lora
