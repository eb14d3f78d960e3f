#include "lora/cli/option_table.h"

namespace lora {

std::vector<ShownOption> options_of(const CLI::App& app) {
  std::vector<ShownOption> options;
  for (const CLI::Option* option : app.get_options()) {
    ShownOption one{.names = option->get_name(false, true),
                    .words = {},
                    .about = option->get_description(),
                    .value = "",
                    .positional = option->get_positional(),
                    .required = option->get_required(),
                    .several = option->get_items_expected_max() > 1};
    if (one.positional) one.names = option->get_name(true);
    for (const std::string& name : option->get_snames()) one.words.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) one.words.push_back("--" + name);
    if (option->get_items_expected_max() > 0) one.value = option->get_type_name();
    if (const std::string preset = option->get_default_str(); !preset.empty()) one.about += " [" + preset + "]";
    options.push_back(std::move(one));
  }
  return options;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

}  // namespace lora
