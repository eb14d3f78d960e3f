#include "lora/data/tokenizers/bpe_reader.h"

#include <nlohmann/json.hpp>

#include "lora/data/tokenizers/decoder.h"
#include "lora/data/tokenizers/tokenizer_config.h"

namespace lora {
namespace {

using nlohmann::json;

void refuse_options(const JsonView& object) {
  if (const auto type = object.find("type"); type && type->string() != "BPE") {
    type->fail("model '" + type->string() + "' is not supported, expected BPE or Unigram" +
               (type->string() == "WordPiece" ? "; WordPiece is of encoders such as BERT, which do not run here" : ""));
  }
  if (const auto dropout = object.find("dropout"); dropout && dropout->value() != 0.0) {
    dropout->fail("found " + dropout->value().dump() + ": merges that are left out by chance are not supported");
  }
  if (const auto prefix = object.find("continuing_subword_prefix"); prefix && !prefix->string().empty()) {
    prefix->fail("found '" + prefix->string() + "': a prefix of subwords is not supported");
  }
}

Vocabulary read_names(const JsonView& object) {
  const json& entries = object.object();
  size_t bytes = 0;
  for (const auto& entry : entries.items()) bytes += entry.key().size();
  if (bytes > UINT32_MAX / 2) object.fail("found more than 2 GiB of names");
  Vocabulary names(entries.size(), bytes);
  for (auto entry = entries.begin(); entry != entries.end(); ++entry) {
    // A number beyond 63 bits becomes negative.
    if (!entry->is_number_integer() || entry->get<int64_t>() < 0 || entry->get<int64_t>() > kMostIds) {
      object.fail("found " + entry->dump() + " for '" + entry.key() + "', expected an id from 0 to " +
                  std::to_string(kMostIds));
    }
    const auto id = entry->get<uint32_t>();
    if (names.has(id)) {
      object.fail("'" + entry.key() + "' and '" + std::string(names.text(id)) + "' have the same id " +
                  std::to_string(id));
    }
    names.add(entry.key(), id);
  }
  return names;
}

class MergeReader {
 public:
  MergeReader(const JsonView& place, const Vocabulary& names) : place_(place), names_(names) {}

  std::vector<BpeMerge> run() {
    std::vector<BpeMerge> merges;
    merges.reserve(place_.array().size());
    for (const json& merge : place_.array()) {
      index_ = merges.size();
      merges.push_back(merge.is_string() ? split(merge.get_ref<const std::string&>()) : pair(merge));
    }
    return merges;
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    place_.fail("merge " + std::to_string(index_) + ": " + problem);
  }

  // "a b"
  BpeMerge split(const std::string& text) {
    const size_t space = text.find(' ');
    if (space == text.npos || text.find(' ', space + 1) != text.npos) {
      fail("found '" + text + "', expected two tokens with a space between");
    }
    return merge(std::string_view(text).substr(0, space), std::string_view(text).substr(space + 1));
  }

  // ["a", "b"]
  BpeMerge pair(const json& value) {
    if (!value.is_array() || value.size() != 2 || !value[0].is_string() || !value[1].is_string()) {
      fail(std::string("found ") + value.type_name() + ", expected a text or a pair of texts");
    }
    return merge(value[0].get_ref<const std::string&>(), value[1].get_ref<const std::string&>());
  }

  BpeMerge merge(std::string_view left, std::string_view right) {
    merged_.assign(left).append(right);
    return {id(left), id(right), id(merged_)};
  }

  uint32_t id(std::string_view name) const {
    const uint32_t found = names_.id_of(name);
    if (found == Vocabulary::kNone) fail("its token '" + std::string(name) + "' is not in the vocabulary");
    return found;
  }

  const JsonView& place_;
  const Vocabulary& names_;
  std::string merged_;
  size_t index_ = 0;
};

Vocabulary bytes_of(const Vocabulary& names) {
  Vocabulary vocabulary(names.size(), 8 * names.size());
  std::string bytes;
  for (uint32_t id = 0; id < names.size(); ++id) {
    if (!names.has(id)) continue;
    // A name with characters outside the alphabet has no bytes, and no text matches it.
    const bool in_alphabet = from_byte_alphabet(names.text(id), bytes);
    vocabulary.add(in_alphabet ? std::string_view(bytes) : names.text(id), id, in_alphabet);
  }
  return vocabulary;
}

}  // namespace

void check_added(const JsonView& vocab, const Vocabulary& names, const std::vector<AddedToken>& added) {
  for (const AddedToken& token : added) {
    const auto id = static_cast<uint32_t>(token.id);
    if (const uint32_t own = names.id_of(token.content); own != Vocabulary::kNone && own != id) {
      vocab.fail("the added token '" + token.content + "' has id " + std::to_string(id) + ", but " +
                 std::to_string(own) + " in the vocabulary");
    }
    if (names.has(id) && names.text(id) != token.content) {
      vocab.fail("the added token '" + token.content + "' has id " + std::to_string(id) + ", which is '" +
                 std::string(names.text(id)) + "' in the vocabulary");
    }
  }
}

Bpe read_bpe(const JsonView& object, bool byte_level, const std::vector<AddedToken>& added) {
  refuse_options(object);
  const JsonView vocab = object.at("vocab");
  Vocabulary names = read_names(vocab);
  check_added(vocab, names, added);
  BpeOptions options;
  options.byte_level = byte_level;
  options.byte_fallback = object.boolean_or("byte_fallback", false);
  options.fuse_unk = object.boolean_or("fuse_unk", false);
  options.ignore_merges = object.boolean_or("ignore_merges", false);
  options.suffix = object.string_or("end_of_word_suffix", "");
  if (!options.suffix.empty() && options.byte_fallback) {
    object.at("byte_fallback").fail("together with 'end_of_word_suffix' it is not supported");
  }
  if (byte_level && options.byte_fallback)
    object.at("byte_fallback").fail("together with ByteLevel it is not supported");
  if (const auto unk = object.find("unk_token")) {
    const uint32_t id = names.id_of(unk->string());
    // GPT-2's files name an unknown token that they never need.
    if (id == Vocabulary::kNone && !byte_level) unk->fail("'" + unk->string() + "' is not in the vocabulary");
    if (id != Vocabulary::kNone) options.unk = id;
  }
  const std::vector<BpeMerge> merges = MergeReader(object.at("merges"), names).run();
  return Bpe(byte_level ? bytes_of(names) : std::move(names), merges, options);
}

}  // namespace lora
