#pragma once
// Splits a template's source into tokens. White space is handled as in transformers: trim_blocks and lstrip_blocks.

#include <string>
#include <string_view>
#include <vector>

namespace lora::jinja {

struct Token {
  enum class Kind { kData, kPrint, kPrintEnd, kBlock, kBlockEnd, kName, kString, kInteger, kFloat, kOperator, kEnd };
  Kind kind;
  std::string text;  // a string's value without quotes; the text of kData
  size_t line;       // from 1
  size_t offset;     // in bytes, in the source
};

// The last token is kEnd. Throws TemplateError for a character that cannot begin a token and for a tag without an end.
std::vector<Token> tokenize(std::string_view source);

}  // namespace lora::jinja
