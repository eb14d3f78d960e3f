#pragma once
// A template's source as tokens, with white space handled as transformers has it: trim_blocks and lstrip_blocks.

#include <string>
#include <string_view>
#include <vector>

namespace lora::jinja {

struct Token {
  enum class Kind { kData, kPrint, kPrintEnd, kBlock, kBlockEnd, kName, kString, kInteger, kFloat, kOperator, kEnd };
  Kind kind;
  std::string text;  // of a string its value; of data what is printed
  size_t line;       // counted from 1
  size_t offset;     // in the source
};

// Ends with a kEnd. Throws TemplateError for what no token begins with, and for a tag that does not end.
std::vector<Token> tokenize(std::string_view source);

}  // namespace lora::jinja
