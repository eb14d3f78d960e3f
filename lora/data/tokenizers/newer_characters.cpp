// The table is written by scripts/make_unicode_table.py.
#include "lora/data/tokenizers/newer_characters.h"

#include <algorithm>
#include <array>

namespace lora {
namespace {

constexpr std::array kNewer = {
    NewerCharacters{0x897, 0x897, "Mn"},     NewerCharacters{0xCF3, 0xCF3, "Mc"},
    NewerCharacters{0xECE, 0xECE, "Mn"},     NewerCharacters{0x1B4E, 0x1B4F, "Po"},
    NewerCharacters{0x1B7F, 0x1B7F, "Po"},   NewerCharacters{0x1C89, 0x1C89, "Lu"},
    NewerCharacters{0x1C8A, 0x1C8A, "Ll"},   NewerCharacters{0x2427, 0x2429, "So"},
    NewerCharacters{0x2FFC, 0x2FFF, "So"},   NewerCharacters{0x31E4, 0x31E5, "So"},
    NewerCharacters{0x31EF, 0x31EF, "So"},   NewerCharacters{0xA7CB, 0xA7CC, "Lu"},
    NewerCharacters{0xA7CD, 0xA7CD, "Ll"},   NewerCharacters{0xA7DA, 0xA7DA, "Lu"},
    NewerCharacters{0xA7DB, 0xA7DB, "Ll"},   NewerCharacters{0xA7DC, 0xA7DC, "Lu"},
    NewerCharacters{0x105C0, 0x105F3, "Lo"}, NewerCharacters{0x10D40, 0x10D49, "Nd"},
    NewerCharacters{0x10D4A, 0x10D4D, "Lo"}, NewerCharacters{0x10D4E, 0x10D4E, "Lm"},
    NewerCharacters{0x10D4F, 0x10D4F, "Lo"}, NewerCharacters{0x10D50, 0x10D65, "Lu"},
    NewerCharacters{0x10D69, 0x10D6D, "Mn"}, NewerCharacters{0x10D6E, 0x10D6E, "Pd"},
    NewerCharacters{0x10D6F, 0x10D6F, "Lm"}, NewerCharacters{0x10D70, 0x10D85, "Ll"},
    NewerCharacters{0x10D8E, 0x10D8F, "Sm"}, NewerCharacters{0x10EC2, 0x10EC4, "Lo"},
    NewerCharacters{0x10EFC, 0x10EFF, "Mn"}, NewerCharacters{0x1123F, 0x11240, "Lo"},
    NewerCharacters{0x11241, 0x11241, "Mn"}, NewerCharacters{0x11380, 0x11389, "Lo"},
    NewerCharacters{0x1138B, 0x1138B, "Lo"}, NewerCharacters{0x1138E, 0x1138E, "Lo"},
    NewerCharacters{0x11390, 0x113B5, "Lo"}, NewerCharacters{0x113B7, 0x113B7, "Lo"},
    NewerCharacters{0x113B8, 0x113BA, "Mc"}, NewerCharacters{0x113BB, 0x113C0, "Mn"},
    NewerCharacters{0x113C2, 0x113C2, "Mc"}, NewerCharacters{0x113C5, 0x113C5, "Mc"},
    NewerCharacters{0x113C7, 0x113CA, "Mc"}, NewerCharacters{0x113CC, 0x113CD, "Mc"},
    NewerCharacters{0x113CE, 0x113CE, "Mn"}, NewerCharacters{0x113CF, 0x113CF, "Mc"},
    NewerCharacters{0x113D0, 0x113D0, "Mn"}, NewerCharacters{0x113D1, 0x113D1, "Lo"},
    NewerCharacters{0x113D2, 0x113D2, "Mn"}, NewerCharacters{0x113D3, 0x113D3, "Lo"},
    NewerCharacters{0x113D4, 0x113D5, "Po"}, NewerCharacters{0x113D7, 0x113D8, "Po"},
    NewerCharacters{0x113E1, 0x113E2, "Mn"}, NewerCharacters{0x116D0, 0x116E3, "Nd"},
    NewerCharacters{0x11B00, 0x11B09, "Po"}, NewerCharacters{0x11BC0, 0x11BE0, "Lo"},
    NewerCharacters{0x11BE1, 0x11BE1, "Po"}, NewerCharacters{0x11BF0, 0x11BF9, "Nd"},
    NewerCharacters{0x11F00, 0x11F01, "Mn"}, NewerCharacters{0x11F02, 0x11F02, "Lo"},
    NewerCharacters{0x11F03, 0x11F03, "Mc"}, NewerCharacters{0x11F04, 0x11F10, "Lo"},
    NewerCharacters{0x11F12, 0x11F33, "Lo"}, NewerCharacters{0x11F34, 0x11F35, "Mc"},
    NewerCharacters{0x11F36, 0x11F3A, "Mn"}, NewerCharacters{0x11F3E, 0x11F3F, "Mc"},
    NewerCharacters{0x11F40, 0x11F40, "Mn"}, NewerCharacters{0x11F41, 0x11F41, "Mc"},
    NewerCharacters{0x11F42, 0x11F42, "Mn"}, NewerCharacters{0x11F43, 0x11F4F, "Po"},
    NewerCharacters{0x11F50, 0x11F59, "Nd"}, NewerCharacters{0x11F5A, 0x11F5A, "Mn"},
    NewerCharacters{0x1342F, 0x1342F, "Lo"}, NewerCharacters{0x13440, 0x13440, "Mn"},
    NewerCharacters{0x13441, 0x13446, "Lo"}, NewerCharacters{0x13447, 0x13455, "Mn"},
    NewerCharacters{0x13460, 0x143FA, "Lo"}, NewerCharacters{0x16100, 0x1611D, "Lo"},
    NewerCharacters{0x1611E, 0x16129, "Mn"}, NewerCharacters{0x1612A, 0x1612C, "Mc"},
    NewerCharacters{0x1612D, 0x1612F, "Mn"}, NewerCharacters{0x16130, 0x16139, "Nd"},
    NewerCharacters{0x16D40, 0x16D42, "Lm"}, NewerCharacters{0x16D43, 0x16D6A, "Lo"},
    NewerCharacters{0x16D6B, 0x16D6C, "Lm"}, NewerCharacters{0x16D6D, 0x16D6F, "Po"},
    NewerCharacters{0x16D70, 0x16D79, "Nd"}, NewerCharacters{0x18CFF, 0x18CFF, "Lo"},
    NewerCharacters{0x1B132, 0x1B132, "Lo"}, NewerCharacters{0x1B155, 0x1B155, "Lo"},
    NewerCharacters{0x1CC00, 0x1CCEF, "So"}, NewerCharacters{0x1CCF0, 0x1CCF9, "Nd"},
    NewerCharacters{0x1CD00, 0x1CEB3, "So"}, NewerCharacters{0x1D2C0, 0x1D2D3, "No"},
    NewerCharacters{0x1DF25, 0x1DF2A, "Ll"}, NewerCharacters{0x1E030, 0x1E06D, "Lm"},
    NewerCharacters{0x1E08F, 0x1E08F, "Mn"}, NewerCharacters{0x1E4D0, 0x1E4EA, "Lo"},
    NewerCharacters{0x1E4EB, 0x1E4EB, "Lm"}, NewerCharacters{0x1E4EC, 0x1E4EF, "Mn"},
    NewerCharacters{0x1E4F0, 0x1E4F9, "Nd"}, NewerCharacters{0x1E5D0, 0x1E5ED, "Lo"},
    NewerCharacters{0x1E5EE, 0x1E5EF, "Mn"}, NewerCharacters{0x1E5F0, 0x1E5F0, "Lo"},
    NewerCharacters{0x1E5F1, 0x1E5FA, "Nd"}, NewerCharacters{0x1E5FF, 0x1E5FF, "Po"},
    NewerCharacters{0x1F6DC, 0x1F6DC, "So"}, NewerCharacters{0x1F774, 0x1F776, "So"},
    NewerCharacters{0x1F77B, 0x1F77F, "So"}, NewerCharacters{0x1F7D9, 0x1F7D9, "So"},
    NewerCharacters{0x1F8B2, 0x1F8BB, "So"}, NewerCharacters{0x1F8C0, 0x1F8C1, "So"},
    NewerCharacters{0x1FA75, 0x1FA77, "So"}, NewerCharacters{0x1FA87, 0x1FA89, "So"},
    NewerCharacters{0x1FA8F, 0x1FA8F, "So"}, NewerCharacters{0x1FAAD, 0x1FAAF, "So"},
    NewerCharacters{0x1FABB, 0x1FABF, "So"}, NewerCharacters{0x1FAC6, 0x1FAC6, "So"},
    NewerCharacters{0x1FACE, 0x1FACF, "So"}, NewerCharacters{0x1FADA, 0x1FADC, "So"},
    NewerCharacters{0x1FADF, 0x1FADF, "So"}, NewerCharacters{0x1FAE8, 0x1FAE9, "So"},
    NewerCharacters{0x1FAF7, 0x1FAF8, "So"}, NewerCharacters{0x1FBCB, 0x1FBEF, "So"},
    NewerCharacters{0x2B739, 0x2B739, "Lo"}, NewerCharacters{0x2EBF0, 0x2EE5D, "Lo"},
    NewerCharacters{0x31350, 0x323AF, "Lo"},
};

}  // namespace

std::span<const NewerCharacters> newer_characters() { return kNewer; }

std::string_view newer_category(char32_t code) {
  const auto after = std::ranges::upper_bound(kNewer, code, {}, &NewerCharacters::first);
  return after != kNewer.begin() && code <= std::prev(after)->last ? std::prev(after)->category : "";
}

}  // namespace lora
