#!/usr/bin/env python3
"""Writes the table of lora/data/tokenizers/newer_characters.cpp: the characters of Unicode 15 and 16, by category, as
the regular expressions of `tokenizers` know them. Older libraries take them for unassigned.

    .deps/peer/bin/python3 scripts/make_unicode_table.py && scripts/format
"""

import pathlib
import re
import unicodedata

from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

TARGET = pathlib.Path(__file__).resolve().parents[1] / "lora/data/tokenizers/newer_characters.cpp"
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So".split()
def characters(category):
    """Those of a category that Python's tables (Unicode 14) do not have."""
    split = Split(Regex(r"\p{%s}" % category), "removed")
    found = []
    for base in range(0, 0x110000, 256):
        if 0xD800 <= base < 0xE000:
            continue
        text = "".join(chr(c) for c in range(base, base + 256))
        left = set("".join(part for part, _ in split.pre_tokenize_str(text)))
        found += [ord(c) for c in text if c not in left and unicodedata.category(c) == "Cn"]
    return found


def main():
    assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
    ranges = []
    for code, category in sorted((c, name) for name in CATEGORIES for c in characters(name)):
        if ranges and ranges[-1][1] == code - 1 and ranges[-1][2] == category:
            ranges[-1][1] = code
        else:
            ranges.append([code, code, category])
    rows = [f'NewerCharacters{{0x{first:X}, 0x{last:X}, "{name}"}},' for first, last, name in ranges]
    lines = "".join(f"    {row}\n" for row in rows)
    table = r"(?<=constexpr std::array kNewer = \{\n).*?(?=^\};)"
    text, count = re.subn(table, lines, TARGET.read_text(), flags=re.S | re.M)
    assert count == 1, f"{TARGET}: the table is not found"
    TARGET.write_text(text)
    print(f"{TARGET}: {len(rows)} ranges")


if __name__ == "__main__":
    main()
