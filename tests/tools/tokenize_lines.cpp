// The tokenizer of a directory as a program, for the scripts that compare it and time it.
//
//   tokenize_lines DIRECTORY none|all            texts on stdin, a JSON object a text on stdout: ids, begins (bytes),
//   and
//                                                the text they decode to, as numbers of bytes
//   tokenize_lines DIRECTORY time THREADS TIMES  the seconds that loading takes and each round over all texts
//
// A text is its length in bytes (4 bytes, little end first) and that many bytes; `all` finds special tokens everywhere.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "lora/data/tokenizer.h"

namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::string> read_texts() {
  std::vector<std::string> texts;
  uint32_t size = 0;
  while (std::fread(&size, sizeof size, 1, stdin) == 1) {
    std::string text(size, '\0');
    if (std::fread(text.data(), 1, size, stdin) != size) throw std::runtime_error("stdin ends inside a text");
    texts.push_back(std::move(text));
  }
  return texts;
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

template <typename Get>
void print_list(const char* name, size_t count, const Get& get) {
  std::printf("\"%s\": [", name);
  for (size_t i = 0; i < count; ++i) std::printf("%s%lld", i == 0 ? "" : ",", static_cast<long long>(get(i)));
  std::printf("]");
}

void print_tokens(const lora::Tokenizer& tokenizer, bool special) {
  for (const std::string& text : read_texts()) {
    const std::vector<lora::TextRange> everywhere = {{0, text.size()}};
    const auto tokens = special ? tokenizer.encode(text, everywhere) : tokenizer.encode(text);
    std::vector<int64_t> ids;
    for (const auto& token : tokens) ids.push_back(token.id);
    const std::string decoded = tokenizer.decode(ids);
    std::printf("{");
    print_list("ids", ids.size(), [&](size_t i) { return ids[i]; });
    std::printf(", ");
    print_list("begins", tokens.size(), [&](size_t i) { return tokens[i].begin; });
    std::printf(", ");
    print_list("decoded", decoded.size(), [&](size_t i) { return static_cast<unsigned char>(decoded[i]); });
    std::printf("}\n");
  }
}

void time_rounds(const lora::Tokenizer& tokenizer, int threads, int rounds) {
  const auto texts = read_texts();
  for (int round = 0; round < rounds; ++round) {
    std::atomic<size_t> next = 0, tokens = 0;
    const auto start = Clock::now();
    const auto work = [&] {
      constexpr size_t kAtOnce = 64;
      for (size_t begin = next.fetch_add(kAtOnce); begin < texts.size(); begin = next.fetch_add(kAtOnce)) {
        size_t found = 0;
        for (size_t i = begin; i < std::min(begin + kAtOnce, texts.size()); ++i)
          found += tokenizer.encode(texts[i]).size();
        tokens += found;
      }
    };
    std::vector<std::jthread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back(work);
    work();
    others.clear();
    std::printf("%.6f %zu\n", seconds_since(start), tokens.load());
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string mode = argc > 2 ? argv[2] : "";
    const bool times = mode == "time" && argc == 5;
    if (!times && !(argc == 3 && (mode == "none" || mode == "all"))) {
      std::fprintf(stderr, "usage: tokenize_lines DIRECTORY none|all, or DIRECTORY time THREADS ROUNDS\n");
      return 2;
    }
    const auto start = Clock::now();
    const auto tokenizer = lora::load_tokenizer(argv[1]);
    if (times) {
      std::printf("%.6f\n", seconds_since(start));
      time_rounds(*tokenizer, std::atoi(argv[3]), std::atoi(argv[4]));
    } else {
      print_tokens(*tokenizer, mode == "all");
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
