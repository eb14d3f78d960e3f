#define PCRE2_CODE_UNIT_WIDTH 8
#include "lora/adapters/regex.h"

#include <pcre2.h>

#include "models/base/error.h"
#include "models/base/pcre2_errors.h"

namespace lora {
namespace {

// Far above what any sane pattern needs on a module path, far below what a person would wait for.
constexpr uint32_t kMatchLimit = 1'000'000;

}  // namespace

Regex::Regex(const std::string& pattern) : pattern_(pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF, &error, &offset, nullptr);
  if (!code) {
    throw AdapterError("regular expression '" + pattern + "' breaks at character " + std::to_string(offset) + ": " +
                       pcre2_error_text(error));
  }
  code_ = std::shared_ptr<void>(code, [](void* c) { pcre2_code_free(static_cast<pcre2_code*>(c)); });
}

bool Regex::full_match(const std::string& text) const {
  auto* code = static_cast<pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_made(pcre2_match_data_create_from_pattern(code, nullptr)), pcre2_match_data_free);
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(
      pcre2_made(pcre2_match_context_create(nullptr)), pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), kMatchLimit);
  const int result = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                                 PCRE2_ANCHORED | PCRE2_ENDANCHORED, data.get(), context.get());
  if (result < 0 && result != PCRE2_ERROR_NOMATCH) {
    throw AdapterError("regular expression '" + pattern_ + "' on '" + text + "': " + pcre2_error_text(result));
  }
  return result >= 0;
}

}  // namespace lora
