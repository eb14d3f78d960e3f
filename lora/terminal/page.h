#pragma once
// Whole HTML pages: one file that needs nothing from elsewhere, light or dark as the reader's system is, legible on a
// phone and on paper. What is passed as HTML is not escaped again: see html.h.

#include <string>
#include <utility>
#include <vector>

namespace lora {

// <name class="css">inside</name>; without the class where `css` is empty.
std::string html_element(const std::string& name, const std::string& inside, const std::string& css = "");

// A row of cells "td" or "th". `right`: the right-aligned columns: numbers; empty: all but the first.
std::string html_row(const char* cell, const std::vector<std::string>& cells, const std::vector<bool>& right = {});

// A table in a box that scrolls sideways where it is too wide. `head` and `body` are rows. With the class "rules" the
// last column is text that may go on in lines below.
std::string html_table(const std::string& head, const std::string& body, const std::string& css = "");

// A grid of numbers (HTML) with a label each.
std::string html_cards(const std::vector<std::pair<std::string, std::string>>& cards);

// The document: `title` is text, `body` is HTML. It allows no script and loads nothing.
std::string html_document(const std::string& title, const std::string& body);

}  // namespace lora
