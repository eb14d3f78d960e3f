#pragma once
// What a program says while it works: lines, and on a terminal one below them that is drawn again in its place. It is
// said in one place, so that who says a line need not know who draws. Every function may be called from any thread.

#include <chrono>
#include <cstdio>
#include <string_view>

namespace lora {

// Off a terminal something is said at least so often.
inline constexpr std::chrono::seconds kSilence(10);
// How often a program looks whether something is to be said or drawn.
inline constexpr std::chrono::milliseconds kGlance(500);

// Writes the text, at once. The line that is drawn is taken away first. An empty text is nothing said.
void say(std::string_view text, std::FILE* file = stdout);

// How long nothing was said; at first since the program began.
std::chrono::steady_clock::duration silence();

// Whether it would be longer than kSilence at the next glance.
bool is_silence_long();

// Draws the line, without a line end, in place of the one before. `file` is a terminal that can do that.
void draw(std::string_view line, std::FILE* file = stdout);
// Takes the line that is drawn away, if one is.
void erase_drawn();
// Leaves it where it is: what comes next begins below it.
void keep_drawn();

}  // namespace lora
