// Evaluates a parsed template.

#include "lora/jinja/template.h"

#include <algorithm>

#include "lora/jinja/budget.h"
#include "lora/jinja/filters.h"
#include "lora/jinja/globals.h"
#include "lora/jinja/operations.h"
#include "lora/jinja/syntax.h"

namespace lora::jinja {
namespace {

using Kind = Node::Kind;

// The limit on recursive macros. Each level takes some hundred bytes of stack for each of the parser's levels.
constexpr int kDeepestCall = 1000;

struct Scope {
  std::vector<std::pair<std::string, Value>> variables;
  std::shared_ptr<Scope> parent;

  const Value* find(const std::string& name) const {
    for (const Scope* scope = this; scope; scope = scope->parent.get()) {
      const auto& all = scope->variables;
      Budget::pay_steps(static_cast<int64_t>(all.size() / 8));
      const auto found =
          std::ranges::find(all, name, [](const auto& variable) -> const std::string& { return variable.first; });
      if (found != all.end()) return &found->second;
    }
    return nullptr;
  }
  void set(const std::string& name, Value value) {
    Budget::pay_steps(static_cast<int64_t>(variables.size() / 8));
    const auto found =
        std::ranges::find(variables, name, [](const auto& variable) -> const std::string& { return variable.first; });
    if (found == variables.end()) {
      variables.emplace_back(name, std::move(value));
    } else {
      found->second = std::move(value);
    }
  }
};
using ScopePtr = std::shared_ptr<Scope>;

class Interpreter {
 public:
  Interpreter(const Date& now, const Limits& limits) : now_(now), limits_(limits) {}

  Text run(const std::vector<NodePtr>& nodes, std::vector<std::pair<std::string, Value>> variables) {
    const auto globals = std::make_shared<Scope>(Scope{std::move(variables), nullptr});
    Text out;
    try {
      statements(nodes, std::make_shared<Scope>(Scope{{}, globals}), out);
    } catch (const TemplateError& error) {
      throw TemplateError("line " + std::to_string(line_) + ": " + error.what());
    }
    return out;
  }

 private:
  enum class Flow { kOn, kBreak, kContinue };

  struct Deeper {
    explicit Deeper(Interpreter& interpreter) : depth_(interpreter.depth_) {
      if (++depth_ > kDeepestCall) throw TemplateError("nested more than " + std::to_string(kDeepestCall) + " deep");
    }
    ~Deeper() { --depth_; }
    int& depth_;
  };

  void step(const Node& node) {
    line_ = node.line;
    Budget::pay_steps(1);
  }

  void emit(Text& out, const Text& text) {
    if (text.size() > limits_.bytes - std::min(limits_.bytes, written_)) {
      throw TemplateError("writes more than " + std::to_string(limits_.bytes) + " bytes");
    }
    written_ += text.size();
    out.append(text);
  }

  Flow statements(const std::vector<NodePtr>& nodes, const ScopePtr& scope, Text& out) {
    const Deeper deeper(*this);
    for (const NodePtr& node : nodes) {
      const Flow flow = statement(*node, scope, out);
      if (flow != Flow::kOn) return flow;
    }
    return Flow::kOn;
  }

  Flow statement(const Node& node, const ScopePtr& scope, Text& out) {
    step(node);
    switch (node.kind) {
      case Kind::kOutput: {
        const Value value = evaluate(*node.children[0], scope);
        line_ = node.line;
        emit(out, to_text(value));
        return Flow::kOn;
      }
      case Kind::kIf:
        return statements(evaluate(*node.children[0], scope).truth() ? node.body : node.otherwise, scope, out);
      case Kind::kFor:
        return loop(node, scope, out);
      case Kind::kBreak:
        return Flow::kBreak;
      case Kind::kContinue:
        return Flow::kContinue;
      case Kind::kSet:
        assign(*node.children[0], evaluate(*node.children[1], scope), scope);
        return Flow::kOn;
      case Kind::kSetBlock: {
        Value value = captured(node.body, scope);
        if (node.children[1]) value = filtered(*node.children[1], std::move(value), scope);
        assign(*node.children[0], std::move(value), scope);
        return Flow::kOn;
      }
      case Kind::kFilterBlock:
        emit(out, to_text(filtered(*node.children[0], captured(node.body, scope), scope)));
        return Flow::kOn;
      case Kind::kGeneration: {
        Text text = *captured(node.body, scope).text();
        text.mark_generated(0);
        emit(out, text);
        return Flow::kOn;
      }
      case Kind::kMacro:
        scope->set(node.name, macro(node, node.name, 0, scope));
        return Flow::kOn;
      case Kind::kCallBlock: {
        Arguments arguments = evaluate_arguments(*node.children[0], scope);
        arguments.named.emplace_back("caller", macro(node, "caller", 1, scope));
        emit(out, to_text(call(*node.children[0], scope, std::move(arguments))));
        return Flow::kOn;
      }
      default:
        throw TemplateError("an expression where a statement was expected");
    }
  }

  Value captured(const std::vector<NodePtr>& body, const ScopePtr& scope) {
    Text text;
    statements(body, std::make_shared<Scope>(Scope{{}, scope}), text);
    return text;
  }

  Flow loop(const Node& node, const ScopePtr& scope, Text& out) {
    std::vector<Value> items = iterate(evaluate(*node.children[1], scope));
    if (node.children[2]) {
      std::erase_if(items, [&](const Value& item) {
        const auto inner = std::make_shared<Scope>(Scope{{}, scope});
        assign(*node.children[0], item, inner);
        return !evaluate(*node.children[2], inner).truth();
      });
    }
    const Value changed_before = Dict{};  // the arguments of the last call of loop.changed()
    for (size_t i = 0; i < items.size(); ++i) {
      step(node);
      const auto inner = std::make_shared<Scope>(Scope{{}, scope});
      inner->set("loop", loop_variable(items, i, changed_before));
      assign(*node.children[0], items[i], inner);
      if (statements(node.body, inner, out) == Flow::kBreak) break;
    }
    if (items.empty()) return statements(node.otherwise, std::make_shared<Scope>(Scope{{}, scope}), out);
    return Flow::kOn;
  }

  static Value loop_variable(const std::vector<Value>& items, size_t i, const Value& changed_before) {
    const auto count = static_cast<int64_t>(items.size()), at = static_cast<int64_t>(i);
    Dict loop{.entries = {}, .kind = Dict::Kind::kLoop};
    const auto add = [&](const char* name, Value value) { loop.entries.emplace_back(text(name), std::move(value)); };
    add("index", Value(at + 1));
    add("index0", Value(at));
    add("first", Value(at == 0));
    add("last", Value(at + 1 == count));
    add("length", Value(count));
    add("revindex", Value(count - at));
    add("revindex0", Value(count - at - 1));
    add("depth", Value(int64_t{1}));
    add("depth0", Value(int64_t{0}));
    add("previtem", i > 0 ? items[i - 1] : Value(Undefined{"loop.previtem"}));
    add("nextitem", i + 1 < items.size() ? items[i + 1] : Value(Undefined{"loop.nextitem"}));
    add("cycle", Function{"cycle", [i](Arguments& arguments) -> Value {
                            if (arguments.positional.empty()) throw TemplateError("cycle() lacks its values");
                            return arguments.positional[i % arguments.positional.size()];
                          }});
    add("changed", Function{"changed", [changed_before](Arguments& arguments) -> Value {
                              Value now = List{arguments.positional, true};
                              const Value* before = changed_before.dict()->find("value");
                              const bool changed = !before || !equal(*before, now);
                              changed_before.dict()->set(text("value"), std::move(now));
                              return Value(changed);
                            }});
    return loop;
  }

  void assign(const Node& target, Value value, const ScopePtr& scope) {
    if (target.kind == Kind::kName) {
      scope->set(target.name, std::move(value));
    } else if (target.kind == Kind::kAttribute) {
      const Value object = evaluate(*target.children[0], scope);
      if (!object.dict() || object.dict()->kind != Dict::Kind::kNamespace) {
        throw TemplateError("'" + target.children[0]->name +
                            "' is not a namespace, and only these have attributes to set");
      }
      if (target.name.starts_with('_')) throw TemplateError("a namespace holds no '" + target.name + "'");
      object.dict()->set(text(target.name), std::move(value));
    } else {
      const std::vector<Value> parts = iterate(value);
      if (parts.size() != target.children.size()) {
        throw TemplateError("found " + std::to_string(parts.size()) + " values for " +
                            std::to_string(target.children.size()) + " variables");
      }
      for (size_t i = 0; i < parts.size(); ++i) assign(*target.children[i], parts[i], scope);
    }
  }

  // The defaults of the parameters are the node's children from `first` on. The macro is valid only during this
  // rendering.
  Value macro(const Node& node, const std::string& name, size_t first, const ScopePtr& scope) {
    // Weak, because the scope holds the macro: a shared pointer would be a cycle.
    return Function{
        name, [this, &node, name, first, weak = std::weak_ptr(scope)](Arguments& arguments) -> Value {
          const Deeper deeper(*this);
          const ScopePtr outer = weak.lock();
          if (!outer) throw TemplateError("macro '" + name + "' is called where its variables are gone");
          const auto inner = std::make_shared<Scope>(Scope{{}, outer});
          for (size_t i = 0; i < node.names.size(); ++i) {
            const Value* given = arguments.find(i, node.names[i]);
            const NodePtr& otherwise = node.children[first + i];
            Value value = given ? *given : otherwise ? evaluate(*otherwise, inner) : Value(Undefined{node.names[i]});
            inner->set(node.names[i], std::move(value));
          }
          if (const Value* caller = arguments.find(SIZE_MAX - 1, "caller")) inner->set("caller", *caller);
          if (arguments.positional.size() > node.names.size()) {
            throw TemplateError("macro '" + name + "' takes " + std::to_string(node.names.size()) + " arguments");
          }
          arguments.finish(name);
          Text text;
          const size_t line = line_;
          statements(node.body, inner, text);
          line_ = line;
          return text;
        }};
  }

  static void add_named(const Value& dict, Arguments& arguments) {
    if (!dict.dict() || dict.dict()->kind != Dict::Kind::kDict) {
      throw TemplateError("** before a '" + dict.type() + "', expected a dict of arguments");
    }
    for (const auto& [key, value] : dict.dict()->all()) {
      if (!key.text()) throw TemplateError("a dict of arguments has a key that is a '" + key.type() + "'");
      const std::string& name = key.text()->bytes();
      Budget::pay_steps(static_cast<int64_t>(arguments.named.size() / 8));
      if (std::ranges::any_of(arguments.named, [&](const auto& one) { return one.first == name; })) {
        throw TemplateError("several values for the argument '" + name + "'");
      }
      arguments.named.emplace_back(name, value);
    }
  }

  Arguments evaluate_arguments(const Node& node, const ScopePtr& scope) {
    Arguments arguments;
    for (const NodePtr& argument : node.arguments) {
      if (argument->kind != Kind::kSpread) {
        arguments.positional.push_back(evaluate(*argument, scope));
        continue;
      }
      for (Value& item : iterate(evaluate(*argument->children[0], scope))) {
        arguments.positional.push_back(std::move(item));
      }
    }
    for (const auto& [name, argument] : node.named) {
      if (name.empty()) {
        add_named(evaluate(*argument, scope), arguments);
      } else {
        arguments.named.emplace_back(name, evaluate(*argument, scope));
      }
    }
    return arguments;
  }

  Value call(const Node& node, const ScopePtr& scope, Arguments arguments) {
    const Value callee = evaluate(*node.children[0], scope);
    line_ = node.line;
    if (callee.is_undefined()) throw TemplateError("'" + callee.undefined().name + "' is undefined");
    if (!callee.function()) throw TemplateError("a '" + callee.type() + "' cannot be called");
    return callee.function()->call(arguments);
  }

  // Applies a block's chain of filters to its text. The text replaces the null input of the innermost filter.
  Value filtered(const Node& node, Value input, const ScopePtr& scope) {
    if (node.children[0]) input = filtered(*node.children[0], std::move(input), scope);
    return apply_filter(node.name, input, evaluate_arguments(node, scope));
  }

  Value evaluate(const Node& node, const ScopePtr& scope) {
    const Deeper deeper(*this);
    step(node);
    const auto child = [&](size_t i) { return evaluate(*node.children[i], scope); };
    switch (node.kind) {
      case Kind::kConstant:
        return node.value;
      case Kind::kName: {
        if (const Value* found = scope->find(node.name)) return *found;
        auto known = global(node.name, now_);
        return known ? *std::move(known) : Value(Undefined{node.name});
      }
      case Kind::kList:
      case Kind::kTuple: {
        List list{.items = {}, .tuple = node.kind == Kind::kTuple};
        for (size_t i = 0; i < node.children.size(); ++i) list.items.push_back(child(i));
        return list;
      }
      case Kind::kDict: {
        Dict dict;
        for (size_t i = 0; i < node.children.size(); i += 2) dict.set(child(i), child(i + 1));
        return dict;
      }
      case Kind::kAttribute:
        return attribute(child(0), node.name);
      case Kind::kSubscript:
        return subscript(child(0), child(1));
      case Kind::kSlice: {
        const auto bound = [&](size_t i) { return node.children[i] ? child(i) : Value(None{}); };
        return slice(child(0), bound(1), bound(2), bound(3));
      }
      case Kind::kCall:
        return call(node, scope, evaluate_arguments(node, scope));
      case Kind::kFilter:
        return apply_filter(node.name, child(0), evaluate_arguments(node, scope));
      case Kind::kTest:
        return Value(apply_test(node.name, child(0), evaluate_arguments(node, scope)));
      case Kind::kNot:
        return Value(!child(0).truth());
      case Kind::kNegative:
        return negative(child(0));
      case Kind::kPositive:
        return child(0);
      case Kind::kBinary:
        return binary(node.name, child(0), child(1));
      case Kind::kCompare: {
        Value left = child(0);
        for (size_t i = 0; i < node.names.size(); ++i) {
          Value right = child(i + 1);
          if (!compare(node.names[i], left, right)) return Value(false);
          left = std::move(right);
        }
        return Value(true);
      }
      case Kind::kAnd: {
        Value left = child(0);
        return left.truth() ? child(1) : left;
      }
      case Kind::kOr: {
        Value left = child(0);
        return left.truth() ? left : child(1);
      }
      case Kind::kCondition:
        if (child(0).truth()) return child(1);
        return node.children[2] ? child(2) : Value(Undefined{"the value of an if without an else"});
      default:
        throw TemplateError("a statement where an expression was expected");
    }
  }

  const Date now_;
  const Limits limits_;
  size_t written_ = 0, line_ = 1;
  int depth_ = 0;
};

bool marks(const std::vector<NodePtr>& nodes) {
  return std::ranges::any_of(nodes, [](const NodePtr& node) {
    return node->kind == Kind::kGeneration || marks(node->body) || marks(node->otherwise);
  });
}

}  // namespace

Template::Template(const std::string& source) : nodes_(parse(source)), marks_generation_(marks(nodes_)) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Text Template::render(const std::vector<std::pair<std::string, Value>>& variables, const Date& now,
                      const Limits& limits) const {
  const Budget budget(limits);
  return Interpreter(now, limits).run(nodes_, variables);
}

}  // namespace lora::jinja
