// Texts made comparable, counted and searched for personal data.

#include <set>

#include "lora/data/cleaning/normalise.h"
#include "lora/data/cleaning/pii.h"
#include "lora/data/cleaning/shingles.h"
#include "lora/data/cleaning/text_facts.h"
#include "tests/catch.h"

namespace lora::test {
namespace {

TEST_CASE("texts that differ in case, white space and typography alone are the same") {
  CHECK(normalised("  Wie  GEHT\tes\r\n dir? ") == "wie geht es dir?");
  CHECK(normalised("“Ça”\u00A0— l’ÉTÉ…") == "\"ça\" - l'été...");
  CHECK(normalised("ΣΊΣΥΦΟΣ и МОСКВА Ё") == normalised("σΊσυφος И москва ё"));
  CHECK(normalised("ＡＢＣ１２３！") == "abc123!");
  CHECK(normalised("soft\u00ADhyphen zero\u200Bwidth") == "softhyphen zerowidth");
  CHECK(normalised("ŁÓDŹ Žena Ÿ") == "łódź žena ÿ");
  CHECK(normalised(" \n\t ").empty());
  CHECK(normalised("a\xff b") == "a\xff b");
  CHECK(normalised("straße") == "straße");
  CHECK(normalised_words("It's 5.50 (five-fifty), 模型!") == "it s 5 50 five fifty 模型");
}

TEST_CASE("normalising twice changes nothing more") {
  for (const char* text : {"  Ab\u2014C “x” … \xfe\xff Ÿ", "ĲĳŁł", "\uFEFFA\u3000B"}) {
    CHECK(normalised(normalised(text)) == normalised(text));
    CHECK(normalised_words(normalised_words(text)) == normalised_words(text));
  }
}

TEST_CASE("n-grams are of characters or of words") {
  CHECK(shingles("abcdef", {false, 5}).size() == 2);
  CHECK(shingles("äöüßé", {false, 5}).size() == 1);
  CHECK(shingles("abc", {false, 5}).size() == 1);
  CHECK(shingles("", {false, 5}).empty());
  const auto words = shingles("one two three one two", {true, 2});
  REQUIRE(words.size() == 4);
  CHECK(words[0] == words[3]);
  CHECK(shingles("one two", {true, 2})[0] == words[0]);
}

TEST_CASE("n-grams of plain letters are the same beside others") {
  for (size_t size = 1; size <= 9; ++size) {
    const std::string text = "natalia sold clips to 48 of her friends";
    const auto plain = shingles(text, {false, size}), mixed = shingles(text + "é", {false, size});
    REQUIRE(mixed.size() == plain.size() + 1);
    CHECK(std::vector(mixed.begin(), mixed.end() - 1) == plain);
    for (size_t i = 0; i < plain.size(); ++i) {
      CHECK(plain[i] == static_cast<uint32_t>(hash_bytes(text.substr(i, size), 0) >> 32));
    }
  }
}

TEST_CASE("a set of hashes is ascending, whatever its size and however often one is repeated") {
  for (const size_t size : {0, 1, 63, 64, 700, 8192, 9000}) {
    for (const uint32_t kinds : {3u, 500u, 1000000u}) {
      std::vector<uint32_t> hashes;
      for (uint32_t i = 0; i < size; ++i) {
        hashes.push_back(static_cast<uint32_t>(hash_bytes(std::to_string(i * 7919 % kinds), 0) >> 32));
      }
      const std::set<uint32_t> wanted(hashes.begin(), hashes.end());
      make_set(hashes);
      CHECK(hashes == std::vector<uint32_t>(wanted.begin(), wanted.end()));
    }
  }
}

TEST_CASE("the Jaccard similarity of small sets is exact and that of large ones close") {
  std::vector<uint32_t> a = {5, 1, 3, 3}, b = {3, 9, 1};
  make_set(a);
  make_sketch(a);
  make_set(b);
  make_sketch(b);
  CHECK(jaccard(a.data(), a.size(), b.data(), b.size()) == 0.5);
  CHECK(jaccard(a.data(), a.size(), a.data(), a.size()) == 1.0);
  CHECK(jaccard(a.data(), 0, b.data(), 0) == 0.0);
  std::vector<uint32_t> left, right;
  for (uint32_t i = 0; i < 6000; ++i) {
    const auto hash = static_cast<uint32_t>(hash_bytes(std::to_string(i), 0));
    if (i < 4000) left.push_back(hash);
    if (i >= 1000) right.push_back(hash);
  }
  make_set(left);
  make_sketch(left);
  make_set(right);
  make_sketch(right);
  CHECK(left.size() == kSketch);
  CHECK(std::abs(jaccard(left.data(), left.size(), right.data(), right.size()) - 0.5) < 0.1);
}

TEST_CASE("characters, broken bytes and controls are counted") {
  const TextFacts facts = text_facts("a\xff é1\x01 \u0085!\uFFFD\n\t");
  CHECK(facts.characters == 12);
  CHECK(facts.invalid == 2);
  CHECK(facts.controls == 1);
  CHECK(facts.letters == 3);
  CHECK(text_facts("").characters == 0);
}

int64_t pii_found(const std::string& text, Pii kind) {
  const PiiCounts counts = count_pii(text);
  int64_t all = 0;
  for (const int64_t count : counts) all += count;
  INFO(text);
  CHECK(all == counts[static_cast<size_t>(kind)]);
  return counts[static_cast<size_t>(kind)];
}

TEST_CASE("personal data is found by form and checksum") {
  CHECK(pii_found("write to jane.doe+x@mail.example.org.", Pii::kEmail) == 1);
  CHECK(pii_found("call +49 30 1234567 or (555) 123-4567, or 555-123-4567", Pii::kPhone) == 3);
  CHECK(pii_found("IBAN DE89 3704 0044 0532 0130 00 and GB82WEST12345698765432", Pii::kIban) == 2);
  CHECK(pii_found("4111 1111 1111 1111, 5500-0000-0000-0004", Pii::kCreditCard) == 2);
  CHECK(pii_found("from 8.8.8.8 and 2001:db8::ff00:42:8329.", Pii::kIpAddress) == 2);
  CHECK(pii_found("AKIAIOSFODNN7EXAMPLE", Pii::kSecretKey) == 1);
  CHECK(pii_found("-----BEGIN RSA PRIVATE KEY-----", Pii::kSecretKey) == 1);
}

TEST_CASE("what only looks a little like personal data is left alone") {
  for (const char* text :
       {"see me @home", "a@b", "x @ y.com", "5 + 7 = 12", "100 200 3000", "12 + 3456789012", "4111 1111 1111 1112",
        "DE89 3704 0044 0532 0130 01", "127.0.0.1 and 10.1.2.3", "version 1.2.3", "std::vector<a>::end", "12:30:45",
        "999.1.1.1", "the mask-like sk-something-without-any-digits", "1234567890123456789012345", "2+2=4",
        "<<48/2=24>>24"}) {
    INFO(text);
    for (const int64_t count : count_pii(text)) CHECK(count == 0);
  }
}

}  // namespace
}  // namespace lora::test
