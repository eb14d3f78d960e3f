#include "lora/serving/page.h"

namespace lora {

extern const char kPageText[];  // made of page.html by CMake

HttpResponse page() {
  return {.type = "text/html; charset=utf-8",
          .body = kPageText,
          .fields = {{"Content-Security-Policy",
                      "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}}};
}

}  // namespace lora
