#pragma once
// Where a directory keeps its chat templates: chat_template.jinja, with others in additional_chat_templates/, else
// `chat_template` of tokenizer_config.json, which is a text or a list of {name, template}. As transformers has it.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace lora {

struct TemplateFiles {
  std::string where;                                             // the name of the file that has it
  std::string text;                                              // of the one called "default"; empty: there is none
  std::vector<std::pair<std::string, std::string>> others = {};  // name and text of the others: "tool_use", "rag"

  // Of the template for conversations with tools; empty: the same as for others.
  std::string tools_text() const;
  // Whether both have the same templates, wherever these are.
  bool same_texts(const TemplateFiles& other) const { return text == other.text && others == other.others; }
};

// The directory's own, all of it UTF-8, since tokenizer_config.json cannot hold other bytes. Throws ModelError for a file
// that cannot be read or is not UTF-8, a value that is not a template, and a list without a "default", with a name twice,
// or with one that cannot be a file's.
TemplateFiles read_template_files(const std::filesystem::path& directory);

// The text of a file. Throws ModelError if it cannot be read, is larger than 4 MiB, or is not UTF-8.
std::string read_template_text(const std::filesystem::path& path);

// The files that read_template_files() would read in the directory, apart from tokenizer_config.json.
std::vector<std::filesystem::path> template_paths(const std::filesystem::path& directory);

// Puts these templates in the place of the directory's own, and into the file that has them there:
// tokenizer_config.json without a chat_template.jinja, and chat_template.jinja without both. Changes nothing where they
// are the same. Throws StorageError.
void write_template_files(const std::filesystem::path& directory, const TemplateFiles& templates);

}  // namespace lora
