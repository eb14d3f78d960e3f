// Templates beside Jinja2's own rendering of them, where each byte comes from, and what is refused.

#include "lora/jinja/template.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "tests/golden.h"

namespace lora::jinja {
namespace {

using Catch::Matchers::Contains;
using Json = nlohmann::ordered_json;

constexpr Date kDay{2024, 7, 26};

std::vector<std::pair<std::string, Value>> variables(const Json& json) {
  std::vector<std::pair<std::string, Value>> all;
  for (const auto& item : json.items()) all.emplace_back(item.key(), from_json(item.value(), 1));
  return all;
}

Json rendered(const Json& one) {
  try {
    return {{"text", Template(one["template"]).render(variables(one["variables"]), kDay).bytes()}};
  } catch (const TemplateError& error) {
    return {{"error", error.what()}};
  }
}

std::string render(const std::string& source) { return Template(source).render({}, kDay).bytes(); }

// Each run with its origin's kind: T template, D data, C computed; in lower case inside {% generation %}.
std::string origins(const std::string& source, const Json& data) {
  const Text text = Template(source).render(variables(data), kDay);
  std::string shown;
  size_t begin = 0;
  char before = 0;
  for (const Run& run : text.runs()) {
    char kind = run.origin < 0 ? 'T' : run.origin > 0 ? 'D' : 'C';
    if (run.generated) kind = static_cast<char>(kind + ('a' - 'A'));
    if (kind != before) shown += std::string(shown.empty() ? "" : " ") + kind + ":";
    before = kind;
    shown += text.bytes().substr(begin, run.end - begin);
    begin = run.end;
  }
  return shown;
}

TEST_CASE("templates render as Jinja2 with transformers' settings renders them") {
  std::ifstream file(test::source_dir() / "tests/golden/jinja.json");
  const Json golden = Json::parse(file);
  REQUIRE(golden["cases"].size() > 90);
  for (const Json& one : golden["cases"]) {
    INFO(one["template"].get<std::string>());
    Json whole = one;
    whole["variables"] = golden["variables"];
    const Json ours = rendered(whole);
    if (one.contains("error")) {
      CHECK(ours.contains("error"));
    } else {
      CHECK(ours == Json{{"text", one["text"]}});
    }
  }
}

TEST_CASE("every byte says whether the template, the data or a computation wrote it") {
  const Json data = Json::parse(R"({"x": " <s>é ", "n": [1, "a"], "m": {"role": "u"}})");
  CHECK(origins("a{{ x }}b", data) == "T:a D: <s>é  T:b");
  CHECK(origins("{{ '<' + (x | trim) + '>' }}", data) == "T:< D:<s>é T:>");
  CHECK(origins("{{ x.split('s')[0] ~ x.replace('<', '[') }}", data) == "D: <  T:[ D:s>é ");
  CHECK(origins("{{ n | tojson }}{{ 1 + 2 }}", data) == "D:[1, \"a\"] C:3");
  CHECK(origins("{{ [x[1:3], 'c'] | join(',') }}", data) == "D:<s T:,c");
  CHECK(origins("{% set y %}q{{ x }}{% endset %}{{ y | upper if false else y }}", data) == "T:q D: <s>é ");
  CHECK(origins("{% for c in m.role %}{{ c }}{% endfor %}{{ '%s!' % m.role }}", data) == "D:uu T:!");
  CHECK(origins("a{% generation %}b{{ m.role }}{% endgeneration %}c", data) == "T:a t:b d:u T:c");
}

TEST_CASE("two literals are never of the same origin, so that like text of different places differs") {
  const Text text = Template("{{ 'a' }}{{ 'a' }}").render({}, kDay);
  REQUIRE(text.runs().size() == 2);
  CHECK(text.runs()[0].origin != text.runs()[1].origin);
}

TEST_CASE("an unsupported template and a text that is not a template are refused with their line") {
  const auto refuse = [](const std::string& source, const std::string& message) {
    INFO(source);
    CHECK_THROWS_AS(Template(source), TemplateError);
    CHECK_THROWS_WITH(Template(source), Contains(message));
  };
  refuse("a\n{% include 'x' %}", "line 2: {% include %} is not supported");
  refuse("{% extends 'x' %}", "{% extends %}");
  refuse("{% for x in y recursive %}{% endfor %}", "recursive loop");
  refuse("{{ f(*x, y) }}", "an argument by position behind a list");
  refuse("{{ f(*x, *y) }}", "a list of arguments behind another list");
  refuse("{{ f(**x, *y) }}", "a list of arguments behind another list or a dict");
  refuse("{{ f(**x, a=1) }}", "an argument behind a dict of arguments");
  refuse("{{ f(**x, **y) }}", "an argument behind a dict of arguments");
  refuse("{% if x %}", "the template ends; expected {% endif %}");
  refuse("{% endif %}", "{% endif %} without its begin");
  refuse("{{ 'a }}", "a string does not end");
  refuse("{{ x ", "a tag does not end");
  refuse("{# x", "a comment does not end");
  refuse("{{ (x] }}", "unexpected ']'");
  refuse("{{ 1 + }}", "unexpected '}}'");
  refuse("{{ x ? y }}", "unexpected '?'");
  refuse("{% break %}", "outside of a loop");
  refuse("{{ 99999999999999999999 }}", "too large");
  CHECK_THROWS_WITH(render("a\n\n{{ x | xmlattr }}"), Contains("line 3: the filter 'xmlattr' is not supported"));
  CHECK_THROWS_WITH(render("{{ [1].append(2) }}"), Contains("may not change a list"));
  CHECK_THROWS_WITH(render("{{ raise_exception('no') }}"), Contains("the template says: no"));
  CHECK_THROWS_WITH(render("{{ x.y }}"), Contains("'x' is undefined"));
  CHECK_THROWS_WITH(render("{{ range(*1) }}"), Contains("'int'"));
  CHECK_THROWS_WITH(render("{{ dict(**[1]) }}"), Contains("** before a 'list'"));
  CHECK_THROWS_WITH(render("{{ dict(a=1, **{'a': 2}) }}"), Contains("several values for the argument 'a'"));
  CHECK_THROWS_WITH(render("{{ dict(**{1: 2}) }}"), Contains("a key that is a 'int'"));
}

TEST_CASE("an expression of many thousand parts is refused before it is evaluated") {
  const auto repeated = [](const std::string& begin, const std::string& part, int count) {
    std::string source = begin;
    for (int i = 0; i < count; ++i) source += part;
    return "{{ " + source + " }}";
  };
  for (const char* part : {"+1", " ~ 'a'", " * 2", " ** 1", " or 1", " and 1", "|string", " is defined", ".a", "[0]",
                           "()", " if 1 else 2", " == 1", "|string is defined"}) {
    INFO(part);
    // Chains of conditions and of comparisons are refused by their nesting, or have one node.
    if (std::string_view(part) != " == 1") {
      CHECK_THROWS_AS(Template(repeated("1", part, 90'000)), TemplateError);
    } else {
      CHECK_NOTHROW(Template(repeated("1", part, 90'000)));
    }
  }
  CHECK(render(repeated("1", "+1", 900)) == "901");
  // Each expression counts alone.
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "{{ 1+1 }}";
  CHECK(render(many).size() == 20'000);
}

// Tenths of the bounds are reached in a tenth of the time.
constexpr Limits kTenth{.steps = 5'000'000, .bytes = size_t{1} << 25, .made_bytes = size_t{1} << 27};

TEST_CASE("texts, lists and their depth are bounded wherever a template makes them") {
  const auto stopped = [&](const std::string& source, const std::string& message) {
    INFO(source);
    CHECK_THROWS_WITH(Template(source).render({}, kDay, kTenth), Contains(message) || Contains("steps"));
  };
  const std::string start = "{% set ns = namespace(x='aaaaaaaaaaaaaaaa', l=[]) %}", loop = "{% for i in range(60) %}";
  const auto doubled = [&](const std::string& value) {
    return start + loop + "{% set ns.x = " + value + " %}{% endfor %}";
  };
  for (const char* value :
       {"ns.x ~ ns.x", "ns.x + ns.x", "ns.x.replace('a', 'aa')", "ns.x|replace('a', 'aa')", "[ns.x, ns.x]|join",
        "ns.x.join([ns.x, ns.x, ns.x])", "'%s%s'|format(ns.x, ns.x)", "'%s%s' % (ns.x, ns.x)"}) {
    stopped(doubled(value), "bytes");
  }
  stopped(doubled("ns.x * 2"), "bytes");
  stopped(start + loop + "{% set ns.l = ns.l + ns.l + [1] %}{% endfor %}", "bytes");
  stopped(start + "{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}", "nested more than 200 deep");
  stopped(start + "{% for i in range(9999) %}{% set ns.l = {'a': ns.l} %}{% endfor %}", "nested more than 200 deep");
  stopped(start + "{% for i in range(9999) %}{% set ns.l = namespace(a=ns.l) %}{% endfor %}",
          "nested more than 200 deep");
  // A chain that is made from its top: no namespace knows how deep those are that are put into its own later.
  CHECK_NOTHROW(Template("{% set ns = namespace(tail=namespace()) %}{% for i in range(99999) %}{% set t = ns.tail %}"
                         "{% set n = namespace() %}{% set t.x = n %}{% set ns.tail = n %}{% endfor %}")
                    .render({}, kDay));
}

TEST_CASE("work inside of an operation counts as steps") {
  const auto stopped = [&](const std::string& source) {
    INFO(source);
    CHECK_THROWS_WITH(Template(source).render({}, kDay, kTenth), Contains("steps") || Contains("bytes"));
  };
  const std::string loops = "{% for i in range(99999) %}{% for j in range(99) %}";
  stopped("{% set r = range(99999) %}" + loops + "{% if -1 in r %}{% endif %}{% endfor %}{% endfor %}");
  stopped("{% set r = range(99999) %}" + loops + "{% set s = r|sort %}{% endfor %}{% endfor %}");
  stopped("{% set t = 'ab' * 999999 %}" + loops + "{% if t.find('x') > 0 %}{% endif %}{% endfor %}{% endfor %}");
  stopped("{% set t = 'ab' * 999999 %}" + loops + "{% if 'x' in t %}{% endif %}{% endfor %}{% endfor %}");
  stopped(
      "{% set ns = namespace(a=[], b=[]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
      "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}");
}

TEST_CASE("what reads long texts, many keys or many variables again and again counts as steps") {
  const Limits few{.steps = 1'000'000};
  const std::string
      start = "{% set t = 'ab' * 300000 %}{% set l = [t] * 20000 %}{% set ns = namespace() %}{% set ns.a = ns %}",
      loop = "{% for i in range(9999) %}";
  for (const char* work :
       {"{% set x = t[5] %}", "{% set x = t[5:7] %}", "{% set x = t.isalpha() %}", "{% set x = t|length %}",
        "{% set x = t.find('x') %}", "{% set x = 'x' in t %}", "{% set x = t < t %}", "{% set x = l|sort %}",
        "{% set x = 'x'.startswith(l) %}", "{% set x = t.rsplit('a') %}", "{% set x = t.count('a') %}",
        "{% set x = t.replace('a', '') %}", "{% set x = 'x'.strip(t) %}", "{% set x = t|title|indent %}",
        "{% set x = t|tojson %}", "{% set x = [ns]|map(attribute='a.' * 300000 ~ 'a')|list %}"}) {
    INFO(work);
    CHECK_THROWS_WITH(Template(start + loop + work + "{% endfor %}").render({}, kDay, few), Contains("steps"));
  }
  std::string variables;
  for (int i = 0; i < 20'000; ++i) variables += "{% set v" + std::to_string(i) + " = 1 %}";
  CHECK_THROWS_WITH(Template(variables + loop + "{{ v19999 }}{% endfor %}").render({}, kDay, few), Contains("steps"));
  Json row;
  for (int i = 0; i < 3000; ++i) row["k" + std::to_string(i)] = 1;
  const Value message = from_json(row, 1);
  for (const char* work : {"{{ m.role }}", "{{ m|length }}", "{{ namespace(**m).k1 }}"}) {
    INFO(work);
    CHECK_THROWS_WITH(Template(loop + work + "{% endfor %}").render({{"m", message}}, kDay, few), Contains("steps"));
  }
}

TEST_CASE("a text is searched in time that is linear in it, whatever is sought") {
  const std::string start = "{% set t = 'a' * 3000000 %}{% set u = 'a' * 1500000 ~ 'b' %}";
  CHECK(render(start + "{{ t.find(u) }} {{ t.rfind('b' ~ u) }} {{ u in t }} {{ t.count(u) }} {{ t.split(u)|length }} "
                       "{{ t.rsplit(u)|length }} {{ t.replace(u, '')|length }} {{ t.rsplit('a')|length }}") ==
        "-1 -1 False 0 1 1 3000000 3000001");
  CHECK(render("{{ 'abab'.find('b') }} {{ 'abab'.rfind('b') }} {{ 'abab'.rfind('') }} {{ 'aXbXc'.rsplit('X', 1) }} "
               "{{ 'aaa'.rsplit('aa') }} {{ 'aaa'.split('aa') }} {{ 'aaa'.replace('a', 'b', 2) }} "
               "{{ 'äxä'.strip('ä') }} {{ 'aa'.count('') }}") == "1 3 4 ['aXb', 'c'] ['a', ''] ['', 'a'] bba x 3");
}

TEST_CASE("a template that does not end, or grows without bounds, is stopped") {
  const Limits few{.steps = 10'000, .bytes = 10'000};
  const auto stopped = [&](const std::string& source, const std::string& message) {
    INFO(source);
    CHECK_THROWS_WITH(Template(source).render({}, kDay, few), Contains(message));
  };
  stopped("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "steps");
  stopped("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deep");
  stopped("{{ 'aaaaaaaaaa' * 2000 }}", "bytes");
  stopped("{{ 'a' * 99999999999 }}", "too long");
  stopped("{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x }}", "cannot be printed");
  stopped("{{ range(1000000000) }}", "more than 100000");
  std::string nested = "x";
  for (int i = 0; i < 5000; ++i) nested = "(" + nested + ")";
  CHECK_THROWS_WITH(Template("{{ " + nested + " }}"), Contains("deep"));
  std::string blocks;
  for (int i = 0; i < 5000; ++i) blocks += "{% if 1 %}";
  CHECK_THROWS_WITH(Template(blocks), Contains("deep"));
}

TEST_CASE("damaged templates are rendered or refused, whatever they are") {
  std::ifstream file(test::source_dir() / "tests/golden/jinja.json");
  const Json golden = Json::parse(file);
  uint32_t random = 1;
  const auto next = [&] { return random = random * 1664525u + 1013904223u; };
  const auto values = variables(golden["variables"]);
  int rendered_count = 0;
  for (const Json& one : golden["cases"]) {
    for (int i = 0; i < 20; ++i) {
      std::string source = one["template"];
      for (int edit = 0; edit < 3 && !source.empty(); ++edit) {
        const size_t at = (next() >> 8) % source.size();
        if (next() & 0x10000) {
          source.erase(at, 1 + (next() >> 8) % 3);
        } else {
          source[at] = "{}%#'\"()[]|.-+ ax1\n\xff"[(next() >> 8) % 21];
        }
      }
      try {
        Template(source).render(values, kDay, {.steps = 100'000, .bytes = 1 << 20});
        ++rendered_count;
      } catch (const TemplateError&) {
      }
    }
  }
  CHECK(rendered_count > 0);
}

// For scripts/peer: renders the cases of LORA_JINJA_CASES, a line of JSON each, into LORA_JINJA_OUT.
TEST_CASE("renders the cases of a file", "[.peer]") {
  const char *cases = std::getenv("LORA_JINJA_CASES"), *out = std::getenv("LORA_JINJA_OUT");
  if (!cases || !out) {
    WARN("skipped: LORA_JINJA_CASES and LORA_JINJA_OUT name no files");
    return;
  }
  std::ifstream in(cases);
  std::ofstream results(out);
  for (std::string line; std::getline(in, line);) {
    results << rendered(Json::parse(line)).dump(-1, ' ', true, Json::error_handler_t::replace) << "\n";
  }
}

}  // namespace
}  // namespace lora::jinja
