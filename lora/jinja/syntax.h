#pragma once
// A parsed template: one kind of node for statements and expressions.

#include <memory>
#include <string>
#include <vector>

#include "lora/jinja/value.h"

namespace lora::jinja {

struct Node;
using NodePtr = std::unique_ptr<Node>;

struct Node {
  enum class Kind {
    // Expressions; what `children` are stands behind.
    kConstant,   // value
    kName,       // name
    kList,       // items
    kTuple,      // items
    kDict,       // key, value, key, value, …
    kAttribute,  // object; name
    kSubscript,  // object, index
    kSlice,      // object, begin, end, step; each but the object may be null
    kCall,       // callee; arguments
    kFilter,     // input; name, arguments. The input is null for {% filter %} and {% set %} blocks
    kTest,       // input; name, arguments
    kNot,        // operand
    kNegative,   // operand
    kPositive,   // operand
    kBinary,     // left, right; name is the operator
    kCompare,    // first, others…; names of the operators
    kAnd,        // left, right
    kOr,         // left, right
    kCondition,  // condition, then, else or null
    // Statements; `body` and `otherwise` are lists of them.
    kOutput,       // expression
    kIf,           // condition; body, otherwise
    kFor,          // target, list, condition or null; body, otherwise
    kSet,          // target, value
    kSetBlock,     // target, filters…; body
    kMacro,        // defaults, null where there is none; name, names of parameters, body
    kCallBlock,    // call, then defaults as a macro's; names of parameters, body
    kFilterBlock,  // filters…; body
    kGeneration,   // body
    kBreak,
    kContinue,
  };

  Kind kind;
  size_t line = 0;
  std::string name = {};
  std::vector<std::string> names = {};
  Value value = {};
  std::vector<NodePtr> children = {};
  std::vector<NodePtr> arguments = {};  // by position
  std::vector<std::pair<std::string, NodePtr>> named = {};
  std::vector<NodePtr> body = {}, otherwise = {};
};

// Throws TemplateError "line 3: …" for what is no template, for a tag that is not known here, and for one nested too
// deep.
std::vector<NodePtr> parse(const std::string& source);

}  // namespace lora::jinja
