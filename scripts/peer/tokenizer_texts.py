"""Texts that tokenizers are compared on: of many scripts, emoji, code, control characters and broken UTF-8."""

import json


def random_text(draw, alphabet, most):
    return "".join(draw.choice(alphabet) for _ in range(draw.randint(1, most)))


def scripts():
    ranges = {
        "latin": [(0x20, 0x7F), (0xA0, 0x250)],
        "greek, cyrillic": [(0x20, 0x21), (0x370, 0x378), (0x384, 0x38B), (0x400, 0x500)],
        "hebrew, arabic": [(0x20, 0x21), (0x5D0, 0x5EB), (0x620, 0x660), (0x660, 0x66A)],
        "indic, thai": [(0x20, 0x21), (0x905, 0x950), (0x966, 0x970), (0xE01, 0xE3B), (0xE40, 0xE5C)],
        "east asian": [(0x3000, 0x3040), (0x3041, 0x3097), (0x30A1, 0x30FF), (0x4E00, 0x5000), (0xFF01, 0xFF60)],
        "korean": [(0x20, 0x21), (0xAC00, 0xAE00), (0x1100, 0x1113), (0x1161, 0x1176), (0x11A8, 0x11C3)],
        "marks": [(0x41, 0x5B), (0x61, 0x7B), (0x300, 0x345), (0x1E00, 0x1F00), (0x20, 0x21)],
        "symbols": [(0x2000, 0x2070), (0x2070, 0x2095), (0x20A0, 0x20C0), (0x2100, 0x2200), (0x2460, 0x2500)],
        "emoji": [(0x1F300, 0x1F650), (0x1F3FB, 0x1F400), (0x200D, 0x200E), (0xFE0F, 0xFE10), (0x1F1E6, 0x1F200)],
        "controls": [(0x0, 0x21), (0x7F, 0xA1), (0x180E, 0x180F), (0x200B, 0x2010), (0x2028, 0x2030), (0xFEFF, 0xFF00)],
        "anything": [(0x0, 0x378), (0x1000, 0x1200), (0x2C00, 0x2D00), (0x10000, 0x10100), (0x1D400, 0x1D4FF)],
    }
    return [[chr(c) for low, high in parts for c in range(low, high)] for parts in ranges.values()]


def real_lines(data):
    lines = (data / "text/input.txt").read_text().splitlines(keepends=True)
    for name in ("gsm8k/test.jsonl", "wikisql/test.jsonl"):
        for row in (data / name).read_text().splitlines():
            lines.extend(str(value) for value in json.loads(row).values())
    return lines


CODE = [
    "def f(x, *, y=None):\n\treturn {k: v**2 for k, v in x.items()}  # ok\n",
    "#include <vector>\r\nint main() {\r\n    std::vector<int> a{1, 2, 3};\r\n    return a[0] != 0 ? 1 : 0;\r\n}\r\n",
    "SELECT COUNT(*) FROM t WHERE a LIKE '%x%' AND b >= 10;;",
    '{"a": [1, 2.5e-10, null], "\\ud83d\\ude00": "\\u00e9"}',
    "<html><body class='x'>&nbsp;<br/></body></html>",
    "          deeply    indented\n\n\n\n      and\t\t\ttabbed   ",
    "I'm you're HE'LL it'S we'Ve they'd don't o'clock 'sss 'ſ",
    "1234567890 12 3.14159 ½ ² ³ ١٢٣ १२३ Ⅳ ㊿ 1,000,000",
    "https://example.org/a?b=c&d=%20#e mail@example.org @user #tag $9.99 100%",
]


def make_texts(data, count, specials, draw):
    """`count` byte strings, some of which are no UTF-8."""
    alphabets = scripts()
    lines = real_lines(data)
    texts = [b"", b" ", b"\n", b"  ", b"a", b" a", b"a ", " ".encode() * 300, b"a" * 500, "語".encode() * 200]
    while len(texts) < count:
        kind = draw.random()
        if kind < 0.35:
            text = "".join(draw.choice(lines) for _ in range(draw.randint(1, 3)))
        elif kind < 0.45:
            text = draw.choice(CODE)
        elif kind < 0.75:
            text = random_text(draw, draw.choice(alphabets), 60)
        elif kind < 0.85:
            text = "".join(random_text(draw, draw.choice(alphabets), 8) for _ in range(draw.randint(2, 10)))
        elif kind < 0.93 and specials:
            parts = [*specials, "<Norm>", " ", "  ", "\n", "x", "é", "word", "_", "1"] + draw.choice(lines).split()[:3]
            text = "".join(draw.choice(parts) for _ in range(draw.randint(1, 12)))
        else:
            size = draw.randint(1, 40)
            if draw.random() < 0.5:
                texts.append(bytes(draw.randrange(256) for _ in range(size)))
            else:  # text with broken characters and halves of surrogate pairs
                broken = bytearray(random_text(draw, draw.choice(alphabets), 20).encode("utf-8"))
                for _ in range(draw.randint(1, 3)):
                    broken[draw.randrange(len(broken)) :] += draw.choice([b"\xed\xa0\x80", b"\xf0\x9f", b"\xe2\x96", b"\xff"])
                texts.append(bytes(broken))
            continue
        texts.append(text.encode("utf-8"))
    return texts
