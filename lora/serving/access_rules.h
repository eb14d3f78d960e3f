#pragma once
// Who may ask: checked on a request's header, before its body is read.

#include <memory>
#include <string>
#include <vector>

#include "lora/serving/http_server.h"

namespace lora {

struct AccessRules {
  std::vector<std::string> keys;  // any of them opens; none: no key is asked for
  // Only programs of this machine reach the server: then a page from elsewhere, open in a browser here, must not. Its
  // requests have its own origin, or reach us by its own name for this address (DNS rebinding).
  bool is_loopback = true;
};

// Null: may ask. /health and the page need no key, since neither tells anything. Keys are compared in constant time.
std::unique_ptr<HttpResponse> refusal(const AccessRules& rules, const HttpRequest& head);

// The keys in a file, one a line; empty lines and those that begin with '#' are none. RecipeError for a file that cannot
// be read or has no key, or a key of fewer than 16 characters.
std::vector<std::string> read_keys(const std::string& file);

}  // namespace lora
