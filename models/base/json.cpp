#include "models/base/json.h"

#include <iterator>
#include <unordered_set>
#include <utility>
#include <vector>

namespace lora {
namespace {

[[noreturn]] void refuse_json(const std::string& problem) {
  throw nlohmann::json::other_error::create(501, problem, nullptr);
}

[[noreturn]] void refuse_key(const std::string& key) {
  refuse_json("key '" + key.substr(0, 200) + "' is there twice; expected it once");
}

// The parser would take it for the text's end.
void refuse_nul(std::string_view text) {
  const size_t nul = text.find('\0');
  if (nul != text.npos)
    throw nlohmann::detail::parse_error::create(101, nul + 1, "found a NUL, a control character", nullptr);
}

// Builds values from the events of nlohmann's parser. An object or a list is made at its end, of the values that were
// finished since its begin, so that no value is copied.
template <typename Json>
class JsonBuilder {
 public:
  explicit JsonBuilder(int max_depth) : max_depth_(max_depth) {}
  Json take() { return std::move(values_.back()); }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(typename Json::number_integer_t value) { return add(value); }
  bool number_unsigned(typename Json::number_unsigned_t value) { return add(value); }
  bool number_float(typename Json::number_float_t value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(typename Json::binary_t&) { return false; }  // not in text

  bool start_object(size_t) { return open(); }
  bool start_array(size_t) { return open(); }
  bool key(std::string& key) {
    keys_.push_back(std::move(key));
    return true;
  }
  bool end_array() {
    const auto begin = values_.begin() + static_cast<std::ptrdiff_t>(open_.back().values);
    return close(typename Json::array_t(std::make_move_iterator(begin), std::make_move_iterator(values_.end())));
  }
  bool end_object() {
    typename Json::object_t object;
    const Open& begin = open_.back();
    const size_t size = keys_.size() - begin.keys;
    if constexpr (kOrdered) {
      expect_single_keys(begin.keys);
      object.reserve(size);
    }
    for (size_t i = 0; i < size; ++i) {
      std::string& key = keys_[begin.keys + i];
      Json& value = values_[begin.values + i];
      if constexpr (kOrdered) {
        object.emplace_back(std::move(key), std::move(value));  // of the vector: it looks for no key
      } else {
        const auto [place, is_new] = object.try_emplace(std::move(key), std::move(value));
        if (!is_new) refuse_key(place->first);
      }
    }
    return close(std::move(object));
  }

  template <typename Exception>
  bool parse_error(size_t, const std::string&, const Exception& error) {
    throw error;
  }

 private:
  static constexpr bool kOrdered = std::is_same_v<Json, nlohmann::ordered_json>;
  struct Open {
    size_t values, keys;  // finished before it
  };

  template <typename Value>
  bool add(Value&& value) {
    values_.emplace_back(std::forward<Value>(value));
    return true;
  }
  bool open() {
    if (static_cast<int>(open_.size()) == max_depth_) refuse_json("nested deeper than " + std::to_string(max_depth_));
    open_.push_back({values_.size(), keys_.size()});
    return true;
  }
  template <typename Container>
  bool close(Container&& container) {
    values_.resize(open_.back().values);
    keys_.resize(open_.back().keys);
    open_.pop_back();
    return add(std::forward<Container>(container));
  }

  void expect_single_keys(size_t begin) const {
    constexpr size_t kFew = 16;  // fewer are compared faster than they are hashed
    if (keys_.size() - begin <= kFew) {
      for (size_t i = begin; i < keys_.size(); ++i) {
        for (size_t j = begin; j < i; ++j) {
          if (keys_[i] == keys_[j]) refuse_key(keys_[i]);
        }
      }
      return;
    }
    std::unordered_set<std::string_view> seen;
    seen.reserve(keys_.size() - begin);
    for (size_t i = begin; i < keys_.size(); ++i) {
      if (!seen.insert(keys_[i]).second) refuse_key(keys_[i]);
    }
  }

  const int max_depth_;
  std::vector<Json> values_;       // finished ones that are in no container yet
  std::vector<std::string> keys_;  // of open objects
  std::vector<Open> open_;
};

}  // namespace

template <typename Json>
Json parse_json(std::string_view text, int max_depth) {
  refuse_nul(text);
  JsonBuilder<Json> builder(max_depth);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}
template nlohmann::json parse_json(std::string_view, int);
template nlohmann::ordered_json parse_json(std::string_view, int);

std::string json_problem(const nlohmann::json::other_error& error) {
  const std::string message = error.what();
  return message.substr(message.find("] ") + 2);
}

}  // namespace lora
