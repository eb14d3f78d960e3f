#define PCRE2_CODE_UNIT_WIDTH 8
#include "models/base/pcre2_errors.h"

#include <pcre2.h>

namespace lora {

std::string pcre2_error_text(int code) {
  if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED) throw std::bad_alloc();
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace lora
