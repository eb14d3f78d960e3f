#pragma once
// A parsed template. Statements and expressions share one node type.

#include <memory>
#include <string>
#include <vector>

#include "lora/jinja/value.h"

namespace lora::jinja {

struct Node;
using NodePtr = std::unique_ptr<Node>;

struct Node {
  enum class Kind {
    // Expressions. The comment after each kind lists its `children`.
    kConstant,   // value
    kName,       // name
    kList,       // items
    kTuple,      // items
    kDict,       // key, value, key, value, …
    kAttribute,  // object; name
    kSubscript,  // object, index
    kSlice,      // object, begin, end, step; all but the object may be null
    kCall,       // callee; arguments
    kFilter,     // input; name, arguments. The input is null in {% filter %} and {% set %} blocks
    kTest,       // input; name, arguments
    kNot,        // operand
    kNegative,   // operand
    kPositive,   // operand
    kBinary,     // left, right; name is the operator
    kCompare,    // first, others…; names: the operators
    kAnd,        // left, right
    kOr,         // left, right
    kCondition,  // condition, then, else (may be null)
    kSpread,     // list, whose items are arguments; only in `arguments`
    // Statements. `body` and `otherwise` are lists of statements.
    kOutput,       // expression
    kIf,           // condition; body, otherwise
    kFor,          // target, list, condition (may be null); body, otherwise
    kSet,          // target, value
    kSetBlock,     // target, filters…; body
    kMacro,        // defaults (null for a parameter without one); name, names of parameters, body
    kCallBlock,    // call, then defaults as in kMacro; names of parameters, body
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
  std::vector<NodePtr> arguments = {};                      // positional
  std::vector<std::pair<std::string, NodePtr>> named = {};  // without a name: a dict of arguments
  std::vector<NodePtr> body = {}, otherwise = {};
};

// Throws TemplateError "line 3: …" for a syntax error, an unsupported tag, and a template that is nested too deep.
std::vector<NodePtr> parse(const std::string& source);

}  // namespace lora::jinja
