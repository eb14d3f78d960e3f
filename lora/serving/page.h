#pragma once
// The page at "/": a chat with two of the models side by side. One file without dependencies (page.html).

#include "lora/serving/http_server.h"

namespace lora {

HttpResponse page();

}  // namespace lora
