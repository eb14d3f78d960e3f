#pragma once
// Which parts of a conversation are missing in the text that a chat template makes of it.

#include <vector>

#include "lora/data/chat_template.h"
#include "lora/data/counts.h"

namespace lora {

// The `lost` counts of one conversation, of which `text` is the rendering. `trained`: the messages that are trained.
// Throws DataError for a trained answer of which nothing is in the text: the model would learn to say nothing.
SourceCounts lost_parts(const ChatTemplate& chat_template, const Chat& chat, const jinja::Text& text,
                        const std::vector<size_t>& trained);

// Whether the conversation has tools of which nothing is in the text.
bool loses_tools(const Chat& chat, const jinja::Text& text);

}  // namespace lora
