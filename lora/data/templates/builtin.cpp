// The templates that have names. Each is written as the models of its family were trained. A new one is a text and a
// row here.

#include "lora/data/chat_template.h"

namespace lora {
namespace {

// "### Instruction:" and so on, as in Stanford Alpaca, with EOS behind each answer.
constexpr const char* kAlpaca = R"({% for message in messages -%}
{% if message.role == 'system' %}{{ message.content | trim }}

{% elif message.role == 'user' %}{% if loop.first -%}
Below is an instruction that describes a task. Write a response that appropriately completes the request.

{% endif %}### Instruction:
{{ message.content | trim }}

{% elif message.role == 'assistant' %}### Response:
{{ message.content | trim }}{{ eos_token }}

{% else %}{{ raise_exception('alpaca has no role ' ~ message.role) }}{% endif -%}
{% endfor %}{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %})";

constexpr const char* kChatml = R"({% for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %})";

constexpr const char* kLlama2 = R"({{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages -%}
{% if message.role == 'system' -%}
{% if not loop.first %}{{ raise_exception('llama-2 takes a system message at the beginning only') }}{% endif -%}
{% set ns.system = '<<SYS>>\n' + message.content | trim + '\n<</SYS>>\n\n' -%}
{% elif message.role == 'user' -%}
{% if loop.index0 > 1 %}{{ bos_token }}{% endif %}{{ '[INST] ' + ns.system + message.content | trim + ' [/INST]' }}
{%- set ns.system = '' -%}
{% elif message.role == 'assistant' %}{{ ' ' + message.content | trim + ' ' + eos_token }}
{%- else %}{{ raise_exception('llama-2 has no role ' ~ message.role) }}{% endif -%}
{% endfor %})";

constexpr const char* kLlama3 = R"({{ bos_token }}{% for message in messages -%}
{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + message.content | trim + '<|eot_id|>' -}}
{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %})";

constexpr const char* kMistral = R"({{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages -%}
{% if message.role == 'system' %}{% set ns.system = message.content + '\n\n' -%}
{% elif message.role == 'user' %}{{ '[INST] ' + ns.system + message.content + ' [/INST]' }}{% set ns.system = '' -%}
{% elif message.role == 'assistant' %}{{ ' ' + message.content | trim + eos_token -}}
{% else %}{{ raise_exception('mistral has no role ' ~ message.role) }}{% endif -%}
{% endfor %})";

constexpr const char* kZephyr = R"({% for message in messages -%}
{{ '<|' + message.role + '|>\n' + message.content + eos_token + '\n' -}}
{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %})";

constexpr const char* kPhi3 = R"({% for message in messages -%}
{{ '<|' + message.role + '|>\n' + message.content + '<|end|>\n' -}}
{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %})";

// Gemma has no role for the system, whose words go in front of the user's first.
constexpr const char* kGemma = R"({{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages -%}
{% if message.role == 'system' %}{% set ns.system = message.content | trim + '\n\n' -%}
{% elif message.role in ['user', 'assistant'] -%}
{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\n' -}}
{% if message.role == 'user' %}{{ ns.system }}{% set ns.system = '' %}{% endif -%}
{{ message.content | trim + '<end_of_turn>\n' -}}
{% else %}{{ raise_exception('gemma has no role ' ~ message.role) }}{% endif -%}
{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %})";

// For a base model without special tokens of a chat: words, and EOS behind each answer.
constexpr const char* kPlain = R"({% set names = {'system': 'System', 'user': 'User', 'assistant': 'Assistant'} -%}
{% for message in messages -%}
{{ '### ' + names.get(message.role, 'Tool') + ':\n' + message.content | trim -}}
{{ (eos_token if message.role == 'assistant' else '') + '\n\n' -}}
{% endfor %}{% if add_generation_prompt %}{{ '### Assistant:\n' }}{% endif %})";

}  // namespace

const std::vector<BuiltinTemplate>& builtin_templates() {
  static const std::vector<BuiltinTemplate> all = {
      {"alpaca", kAlpaca},
      {"chatml", kChatml, {"qwen", "qwen2.5"}},
      {"gemma", kGemma},
      {"llama-2", kLlama2, {"llama2"}},
      {"llama-3", kLlama3, {"llama3"}},
      {"mistral", kMistral},
      {"phi-3", kPhi3, {"phi3"}},
      {"plain", kPlain},
      {"zephyr", kZephyr},
  };
  return all;
}

}  // namespace lora
