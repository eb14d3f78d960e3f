"""Seeds of texts in other languages: regular expressions of a tokenizer, and chat templates."""

import json
import re

from fuzz_inputs.formats import GOLDEN, ROOT
from fuzz_inputs.tokenizer_json import TEXTS, tokenizer_documents


def pattern_seeds():
    for document in json.loads((GOLDEN / "tokenizers/llama3.json").read_text()), *({"tokenizer": d} for d in tokenizer_documents()):
        for regex in re.findall(r'"Regex": ("(?:[^"\\]|\\.)*")', json.dumps(document["tokenizer"])):
            yield from (json.loads(regex).encode() + b"\0" + text.encode() for text in TEXTS[:3])
    for regex in (r"'s|'t| ?\p{L}+| ?\p{N}+|\s+(?!\S)", r"(?<=a)b+?", r"[[:alpha:]&&[^x]]+", r"\h\H\R\X", r"(a+)+$", r"^\A.\z", r"\x41\u0041"):
        yield regex.encode() + b"\0" + b"aab 12 'sx"


def chat_template_seeds():
    yield from (case["template"].encode() for case in json.loads((GOLDEN / "jinja.json").read_text())["cases"])
    builtin = (ROOT / "lora/data/templates/builtin.cpp").read_text()
    yield from (text.encode() for text in re.findall(r'R"\((.*?)\)"', builtin, re.S))
    yield from (text.encode() for text in expressions())
    yield b"{{ '\xff\xf5\xf0\x9f\x98\x80'|upper|trim }}{{ '\xf0\x9f'|length }}"


VALUES = ["'a B'", "' x,y '", "[3, 'x', none]", "[2, 1, 2]", "{'b': 1, 'a': 'C'}", "1.5", "-3", "none", "nowhere", "messages", "[]", "true", "range",
          "'12'", "'é\n1'", "namespace(a=1)"]
ARGUMENTS = ["", "(1)", "('a')", "('a', 'b')", "(attribute='role')", "(1, true, 3, 4, 5)", "(x=1)", "('upper')", "('eq', 1)", "(reverse=true)",
             "('role', 'defined')", "(none, 1)", "(['a', 'x'])", "('')", "(-1)", "(true, 'value')", "(indent=2, separators=(',', ':'))"]
OTHERS = """{% for a, b in [[1, 2], [3]] %}{{ a }}{% endfor %}
{% for a in messages recursive %}{{ loop(a) }}{% endfor %}
{% for a in 'xyz' %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.depth }}{{ loop.nothing }}{% endfor %}
{% set ns = namespace() %}{% set ns.a = 1 %}{% set ns._b = 2 %}
{% set x.y = 1 %}
{% macro m(a, a) %}{% endmacro %}{{ m(1, 2, 3) }}
{% macro m(a=1, b) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(b=1, c=2) }}
{% macro m() %}{{ caller(1) }}{% endmacro %}{% call(x) m() %}{{ x }}{% endcall %}
{{ 1 // 0 }}
{{ 1 % 0 }}{{ 1 / 0 }}
{{ 9223372036854775807 + 1 }}
{{ -9223372036854775807 - 2 }}{{ 2 ** 64 }}{{ 3 * 9223372036854775807 }}{{ 9223372036854775808 }}
{{ 'a' * -1 }}{{ 'a' * 99999999 }}{{ [1] * 99999999 }}
{{ 'abc'[1:2:0] }}{{ 'abc'[::-2] }}{{ 'abc'[5:1:-1] }}{{ [1, 2]['a'] }}{{ {}[[]] }}
{{ '%s %d %x %.2f %5d %%' % ('a', 2, 3, 4.5, 6) }}{{ '%s' % [] }}{{ '%d' % 'x' }}
{{ '{} {0} {a}'.format(1, a=2) }}{{ '{'.format() }}{{ '{{}}'.format() }}{{ '{:>3}'.format(1) }}
{{ not (1 if x) is none and 2 in [1, 2] or 'a' not in 'b' }}
{{ 1 < 'a' }}{{ none < 1 }}{{ [1] < [2] }}{{ {} < {} }}
{{ messages|map(attribute='content.x', default=1)|list }}
{{ messages|selectattr('tool_calls')|list|tojson(indent=101) }}
{{ strftime_now('%Y') }}{{ strftime_now(1) }}{{ strftime_now('%c' * 200) }}
{{ range(1, 9, 0) }}{{ range(200000) }}{{ range(9223372036854775800, 9223372036854775807, 5) }}
{{ dict([1]) }}{{ dict({'a': 1}, b=2) }}{{ namespace({'a': 1}, _b=2) }}
{% if 1 %}a{% elif 2 %}b{% else %}c{% endif %}{% else %}
{% for %}
{% set %}{% endset %}
{% include 'x' %}
{% nothing %}
{{ (1, 2, ) }}{{ [1, 2, ] }}{{ {1: 2, } }}{{ {'a' 1} }}
{{ 'a
{{ "\\x4" }}{{ '\\u12' }}{{ '\\N{DASH}' }}{{ '\\101' }}
{{ 0x1f }}{{ 1_000 }}{{ 1. }}{{ .5 }}{{ 1e5 }}{{ 1e999 }}{{ 0b11 }}
{# open
{% raw %}{{
{{ a b }}{{ a, }}{{ a.1 }}{{ a.b.c() }}{{ 1() }}{{ x(**y) }}{{ x(*y) }}
{{ x is y z }}{{ x is not defined }}{{ x is divisibleby(0) }}{{ x is in [1] }}{{ 3 is sameas 3 }}{{ 3 is callable }}
{%- break -%}
{% generation %}a{% endgeneration %}{% for i in [1] %}{% generation %}{{ i }}{% endgeneration %}{% endfor %}
{{ messages[0].pop('role') }}{{ [].append(1) }}{{ {}.update(a=1) }}{{ {'a': 1}.get('b', 2) }}{{ {'a': 1}.keys()|list }}{{ {'a': 1}.nothing }}
{% for k, v in messages[2].tool_calls[0].function.arguments|items %}{{ k }}{{ v|tojson }}{% endfor %}
{% filter indent(2)|upper %}a
b{% endfilter %}{% set x | trim %} y {% endset %}
{{ '  a b '.split(None, 1) }}{{ 'a,b,c'.rsplit(',', 1) }}{{ 'ab'.split('') }}{{ 'a\\r\\nb'.splitlines(true) }}""".splitlines()


# Bounds, numbers at their ends, marks of white space, and arguments that do not go together.
ENDS = r"""{% for i in range(200) %}{% for j in range(200) %}{% endfor %}{% endfor %}
{% set ns = namespace(x='ab') %}{% for i in range(30) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}
{{ '\x85 \u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\x1c'|trim }}{{ ' \u2003a\u3000 \u1680b\x85 '.split() }}{{ '😀é'|upper }}
{{ 1e308 * 10 }}{{ -1e308 * 10 }}{{ 1e308 * 10 - 1e308 * 10 }}{{ (1e308 * 10)|tojson }}{{ (1e308 * 10)|int(1) }}
{{ range(*[1], *[2]) }}
{{ dict(**{'a': 1}, **{'b': 2}) }}
{{ dict(*[{'a': 1}], **{'b': 2}) }}{{ range(*[1, 3])|list }}
{{ 'a\n\nb'|indent(2) }}{{ 'a\n\nb'|indent(2, true, true) }}{{ '\n\nb'|indent('> ', true) }}
{{ 1e300|int }}{{ '+12'|int }}{{ '1.5e300'|int }}{{ '1.5x'|int(3) }}{{ '1e5'|int }}{{ '+'|int }}{{ '1e5'|float }}{{ ''|float }}
{{ 1.55|round(1, 'ceil') }}{{ 1.55|round(1, 'floor') }}{{ 1.55|round(1) }}{{ 1.5|round(method='x') }}{{ 1.5|round(400) }}
{{ {'b': 1, 'a': 2}|dictsort(by='value') }}{{ {'b': 1, 'A': 2}|dictsort(true, 'value', true) }}{{ {'b': 1}|dictsort(by=1) }}
{{ true is true }}{{ 0 is true }}{{ 0 is false }}{{ false is false }}
{{ strftime_now('') }}{{ strftime_now('%p') }}
{%+ if 1 +%} a {%+ endif +%} {{- 1 -}} {{+ 2 +}} {#- x -#} {#+ y +#} b
{%- raw -%} {{ x }} {%- endraw -%} {%+ raw +%} {% x %} {%+ endraw +%} c
 a {%- for i in [1] -%} b {%- endfor -%}
{{ 1e+5 }}{{ 1e-5 }}{{ 1E5 }}
{{ 1e }}
{{ 1e+ }}
{{ '\U0001F600\u00e9\x41\a\b\f\v\0\q' }}
{{ '\U00110000' }}
{{ '\ud800' }}
{{ '\x4g' }}
{{ 'abab'.count('') }}{{ 'abab'.count('ab') }}{{ ''.find('') }}{{ 'a'.rfind('b') }}{{ 'ab'.replace('', '-') }}
{{ 'a'.index('b') }}
{{ 'a'.rindex('b') }}
{{ ''.isdigit() }}{{ '12'.isdigit() }}{{ ''.isalpha() }}{{ 'a1'.isalnum() }}{{ ''.isupper() }}{{ 'aB'.istitle() }}{{ ' '.isspace() }}{{ ''.islower() }}
{{ '{0}}'.format(1) }}
{{ '}'.format() }}
{{ '{{0}} }}'.format(1) }}{{ '{1}{0}'.format(1, 2) }}
{{ '{99999}'.format(1) }}
{{ '{9}'.format(1) }}
{{ '{a.b}'.format(a=1) }}
{{ '%' % 1 }}
{{ '%s %s' % ('a',) }}
{{ '%s' % ('a', 'b') }}
{{ '%i %d %s %r' % (3, 2.5, none, 'x') }}{{ '%f' % 1 }}{{ '%.3f|%5.1f' % (1.5, 2) }}
{{ '%q' % 1 }}
{{ 0 ** 100 }}{{ 1 ** 100 }}{{ (-1) ** 101 }}{{ (-1) ** 100 }}{{ 2 ** 100 }}{{ 2 ** -1 }}{{ 2.0 ** 0.5 }}
{{ 5 // -1 }}{{ 5 % -1 }}{{ (-9223372036854775807 - 1) // -1 }}{{ (-9223372036854775807 - 1) % -1 }}{{ -7 // 2 }}{{ -7 % 2 }}
{{ 1.5 * 2.5 }}{{ 1.5 // 0.5 }}{{ 1.5 % 0.5 }}{{ 1.5 - 1 }}{{ -1.5 }}{{ +1.5 }}
{{ 1.5 / 0 }}
{{ 1.5 // 0.0 }}
{{ 1.5 % 0.0 }}
{{ (1, 2, 3)[1:] }}{{ (1, 2)[-1] }}{{ 'x' in namespace(x=1) }}{{ (1,) + (2,) }}{{ [1] + [2] }}{{ 'a' in 'ab' }}{{ 'a' in {'a': 1} }}
{{ (1,) + [2] }}
{{ 'a' in 3 }}
{{ 1 in 'ab' }}
{{ 'a,b,,c'.rsplit(',', 2) }}{{ 'a b'.rsplit() }}{{ 'a,b'.split(',', 0) }}{{ ',a'.rsplit(',') }}{{ 'ab'.rsplit('abc') }}
{{ 'a\r\nb\rc\x0bd\x1ce\x85f\u2028g\u2029'.splitlines() }}{{ 'a\n'.splitlines(true) }}{{ ''.splitlines() }}
{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}{{ {'a': 1}.values()|list }}{{ {'a': 1}|items|list }}{{ namespace(a=1).a }}""".splitlines()


def expressions():
    """Every filter, test and method of the sources, on values and with arguments that fit and do not, and statements."""
    source = {name: (ROOT / f"lora/jinja/{name}.cpp").read_text() for name in ("filters", "methods")}
    named = {name: list(dict.fromkeys(re.findall(r'^      \{"([\w=!<>]+)",', text, re.M))) for name, text in source.items()}
    for number, name in enumerate(named["filters"]):
        for i, value in enumerate(VALUES):
            arguments = ARGUMENTS[(number + 3 * i) % len(ARGUMENTS)]
            yield f"{{{{ {value}|{name}{arguments}|string }}}}"
            yield f"{{{{ {value} is {name}{arguments} }}}}"
    for number, name in enumerate(named["methods"]):
        for i, value in enumerate(VALUES):
            yield f"{{{{ {value}.{name}{ARGUMENTS[(number + 3 * i) % len(ARGUMENTS)] or '()'} }}}}"
    yield from OTHERS
    yield from ENDS
