#include "lora/recipe/starting.h"

#include <algorithm>

#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/read_file.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

// Lines of a comment as one text, up to its first sentence's end.
std::string first_sentence(const std::string& text) {
  std::string sentence;
  for (size_t begin = 0; begin < text.size() && text[begin] == '#';) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin + 1, end - begin - 1);
    begin = end + 1;
    if (line.starts_with(" yaml-language-server:")) continue;
    if (line.find_first_not_of(' ') == std::string::npos || line.starts_with("   ")) break;  // a command
    sentence += (sentence.empty() ? "" : " ") + line.substr(line.find_first_not_of(' '));
    const size_t stop = std::min(sentence.find(". "), sentence.find("? "));
    if (stop != std::string::npos) return sentence.substr(0, stop + 1);
  }
  if (sentence.ends_with(':')) sentence.pop_back();
  return sentence;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

}  // namespace

fs::path starting_recipes_directory() {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path().parent_path();
  for (const fs::path& directory : {folder / "share/lora-train/recipes", folder / "recipes"}) {
    if (fs::exists(directory / "quickstart.yaml", error)) return directory;
  }
  throw RecipeError("no recipes to start from: expected them in " + (folder / "share/lora-train/recipes").string() +
                    " or " + (folder / "recipes").string());
}

std::vector<StartingRecipe> starting_recipes(const fs::path& directory) {
  std::vector<StartingRecipe> recipes;
  for (const auto& file : fs::directory_iterator(directory)) {
    if (file.path().extension() != ".yaml") continue;
    recipes.push_back({file.path().stem().string(), first_sentence(read_stored_file(file.path()))});
  }
  std::ranges::sort(recipes, {}, &StartingRecipe::name);
  return recipes;
}

std::string download_command(const fs::path& directory, const std::string& model_path) {
  const std::string begin = "hf download ", end = " --local-dir " + model_path + "\n";
  for (const StartingRecipe& recipe : starting_recipes(directory)) {
    const std::string text = read_stored_file(directory / (recipe.name + ".yaml"));
    const size_t to = text.find(end), from = text.rfind(begin, to);
    if (to == std::string::npos || from == std::string::npos) continue;
    return text.substr(from, to - from) + end.substr(0, end.size() - 1);
  }
  return "";
}

std::string starting_recipe(const fs::path& directory, const std::string& name) {
  std::vector<std::string> names;
  for (const StartingRecipe& recipe : starting_recipes(directory)) names.push_back(recipe.name);
  if (std::ranges::count(names, name) == 0) {
    throw RecipeError("--new: no recipe is called '" + name + "'" + did_you_mean(name, names) +
                      "; --list-recipes shows them");
  }
  std::string text = read_stored_file(directory / (name + ".yaml"));
  const std::string whole = fs::absolute(directory).lexically_normal().string();
  replace_all(text, "$schema=recipe.schema.json", "$schema=" + whole + "/recipe.schema.json");
  replace_all(text, "recipes/quickstart/", whole + "/quickstart/");
  return text;
}

}  // namespace lora
