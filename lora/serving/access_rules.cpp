#include "lora/serving/access_rules.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <sstream>

#include "lora/serving/api_error.h"
#include "models/base/error.h"
#include "models/base/read_file.h"
#include "models/base/sha256.h"

namespace lora {
namespace {

constexpr size_t kShortestKey = 16;

// Digests have one length, so the comparison does not tell that of a key.
bool is_key(const std::string& given, const std::vector<std::string>& keys) {
  const std::string digest = sha256_of(given);
  bool found = false;
  for (const std::string& key : keys) {
    const std::string expected = sha256_of(key);
    found |= CRYPTO_memcmp(digest.data(), expected.data(), digest.size()) == 0;
  }
  return found;
}

// "localhost:8080" -> "localhost", "[::1]:8080" -> "[::1]"
std::string named_host(const std::string& host) {
  const size_t end = host.starts_with('[') ? host.find(']') : host.find(':');
  if (end == std::string::npos) return host;
  return host.substr(0, host.starts_with('[') ? end + 1 : end);
}

bool names_this_machine(const std::string& host) {
  const std::string name = named_host(host);
  return name.empty() || name == "localhost" || name == "127.0.0.1" || name == "[::1]";
}

std::unique_ptr<HttpResponse> refuse(int status, const std::string& message, const std::string& code) {
  return std::make_unique<HttpResponse>(error_response(ApiError(status, message, "", code)));
}

}  // namespace

std::unique_ptr<HttpResponse> refusal(const AccessRules& rules, const HttpRequest& head) {
  if (rules.is_loopback && !names_this_machine(head.host)) {
    return refuse(403, "this server is for its own machine; expected the host 127.0.0.1 or localhost", "host");
  }
  if (!head.origin.empty() && head.origin != "http://" + head.host && head.origin != "https://" + head.host) {
    return refuse(403, "a page from elsewhere may not use this server", "origin");
  }
  if (rules.keys.empty() || head.path == "/health" || head.path == "/") return nullptr;
  constexpr std::string_view kBearer = "Bearer ";
  if (head.authorization.starts_with(kBearer) && is_key(head.authorization.substr(kBearer.size()), rules.keys)) {
    return nullptr;
  }
  return refuse(401, "the API key is missing or wrong; expected the header 'Authorization: Bearer KEY'",
                "invalid_api_key");
}

std::vector<std::string> read_keys(const std::string& file) {
  std::vector<std::string> keys;
  std::istringstream lines(read_file(file));
  for (std::string line; std::getline(lines, line);) {
    const size_t begin = line.find_first_not_of(" \t\r"), end = line.find_last_not_of(" \t\r");
    if (begin == std::string::npos || line[begin] == '#') continue;
    keys.push_back(line.substr(begin, end + 1 - begin));
    if (keys.back().size() < kShortestKey) {
      throw RecipeError(file + ": a key of " + std::to_string(keys.back().size()) + " characters; expected at least " +
                        std::to_string(kShortestKey));
    }
  }
  if (keys.empty()) throw RecipeError(file + ": holds no key; expected one a line");
  return keys;
}

}  // namespace lora
