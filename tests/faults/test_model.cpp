// Section F of the faults: a model's files that are not what they say are refused by name, before anything is written.

#include <sys/stat.h>

#include <cstring>
#include <functional>
#include <thread>

#include "tests/app/runs.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// Trains on a copy of the quickstart's model that `damage` has changed.
void refused_model(const std::function<void(const fs::path&)>& damage, const std::vector<std::string>& parts,
                   int code = 4) {
  const TemporaryDirectory directory;
  const fs::path model = directory / "model";
  fs::copy(quickstart() / "model", model, fs::copy_options::recursive);
  damage(model);
  check_refused({"lora-train", quickstart_recipe(directory), "model.path=" + model.string()}, code, parts);
  CHECK_FALSE(fs::exists(directory / "run"));
}

std::string with_length(uint64_t length, const std::string& rest) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + rest;
}

// A safetensors file in two parts; the header's text may be changed as text too.
struct Parts {
  json header;
  std::string data;
};

fs::path weights_file(const fs::path& file_or_model) {
  return fs::is_directory(file_or_model) ? file_or_model / "model.safetensors" : file_or_model;
}

Parts parts_of(const fs::path& file_or_model) {
  const std::string bytes = read_bytes(weights_file(file_or_model));
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  return {json::parse(bytes.substr(8, length)), bytes.substr(8 + length)};
}

void put_parts(const fs::path& file_or_model, const Parts& parts) {
  const std::string text = parts.header.dump();
  write_bytes(weights_file(file_or_model), with_length(text.size(), text + parts.data));
}

// The tensor whose bytes begin at 0 is the embedding; "model.norm.weight" is the last.
void refused_header(const std::function<void(Parts&)>& change, const std::vector<std::string>& parts) {
  refused_model(
      [&](const fs::path& model) {
        Parts whole = parts_of(model);
        change(whole);
        put_parts(model, whole);
      },
      parts);
}

void refused_bytes(const std::function<std::string(const std::string&)>& change,
                   const std::vector<std::string>& parts) {
  refused_model(
      [&](const fs::path& model) {
        write_bytes(model / "model.safetensors", change(read_bytes(model / "model.safetensors")));
      },
      parts);
}

void refused_shard(const std::string& name) {
  refused_model(
      [&](const fs::path& model) {
        json map;
        const Parts parts = parts_of(model);
        for (const auto& item : parts.header.items()) {
          if (item.key() != "__metadata__") map[item.key()] = name;
        }
        fs::remove(model / "model.safetensors");
        write_bytes(model / "model.safetensors.index.json", json{{"weight_map", map}}.dump());
      },
      {"model.safetensors.index.json: shard '" + name + "' is not in the directory"});
}

// Changes the tensors of a copy of the quickstart's model, whose dtype is F32, to `dtype` where `name` is in theirs.
void store_as(Parts& parts, const std::string& name, const std::string& dtype) {
  std::string data;
  for (auto& item : parts.header.items()) {
    if (item.key() == "__metadata__") continue;
    json& tensor = item.value();
    const auto begin = tensor["data_offsets"][0].get<size_t>(), end = tensor["data_offsets"][1].get<size_t>();
    const size_t at = data.size();
    if (item.key().find(name) == std::string::npos) {
      data.append(parts.data, begin, end - begin);
    } else {
      tensor["dtype"] = dtype;
      for (size_t i = begin; i < end; i += 4) data.append(parts.data, i + 2, 2);  // bfloat16: the upper half
    }
    tensor["data_offsets"] = {at, data.size()};
  }
  parts.data = data;
}

const char* const kEmbedding = "model.embed_tokens.weight";

}  // namespace

TEST_CASE("F: header > 100 MB") {
  refused_bytes([](const std::string& bytes) { return with_length(100'000'001, bytes.substr(8)); },
                {"model.safetensors: found a header length of 100000001, expected at most 100000000"});
}

TEST_CASE("F: header > file") {
  refused_bytes([](const std::string& bytes) { return with_length(bytes.size(), bytes.substr(8)); },
                {"expected a header of", "the file is truncated"});
}

TEST_CASE("F: header 2^64-1") {
  refused_bytes([](const std::string& bytes) { return with_length(UINT64_MAX, bytes.substr(8)); },
                {"header length of 18446744073709551615"});
}

TEST_CASE("F: overlap") {
  refused_header(
      [](Parts& parts) {
        for (auto& entry : parts.header) {
          if (!entry.contains("data_offsets") || entry["data_offsets"][0] == 0) continue;
          for (auto& offset : entry["data_offsets"]) offset = offset.get<int64_t>() - 4;
        }
      },
      {"expected them to begin at", "where the tensor before ends"});
}

TEST_CASE("F: hole") {
  refused_header(
      [](Parts& parts) {
        for (auto& entry : parts.header) {
          if (!entry.contains("data_offsets") || entry["data_offsets"][0] == 0) continue;
          for (auto& offset : entry["data_offsets"]) offset = offset.get<int64_t>() + 4;
        }
        parts.data += std::string(4, '\0');
      },
      {"expected them to begin at", "where the tensor before ends"});
}

TEST_CASE("F: trailing") {
  refused_bytes([](const std::string& bytes) { return bytes + "x"; }, {"bytes of data, expected"});
}

TEST_CASE("F: duplicate names") {
  refused_model(
      [](const fs::path& model) {
        const Parts parts = parts_of(model);
        std::string text = parts.header.dump();
        text.back() = ',';
        text += std::string("\"") + kEmbedding + "\":" + parts.header.at(kEmbedding).dump() + "}";
        write_bytes(model / "model.safetensors", with_length(text.size(), text + parts.data));
      },
      {kEmbedding, "is there twice"});
}

TEST_CASE("F: shape overflow") {
  refused_header(
      [](Parts& parts) {
        parts.header[kEmbedding]["shape"] = {int64_t{1} << 62, int64_t{1} << 62};
      },
      {kEmbedding, "expected more than a file can hold"});
}

TEST_CASE("F: unknown dtype") {
  refused_header([](Parts& parts) { parts.header[kEmbedding]["dtype"] = "F7"; }, {kEmbedding, "found dtype 'F7'"});
}

TEST_CASE("F: missing") {
  refused_header(
      [](Parts& parts) {
        const auto norm = parts.header.at("model.norm.weight").at("data_offsets");
        REQUIRE(norm[1] == parts.data.size());
        parts.data.resize(norm[0].get<size_t>());
        parts.header.erase("model.norm.weight");
      },
      {"'model.norm.weight' [128] is missing"});
}

TEST_CASE("F: unexpected") {
  refused_header(
      [](Parts& parts) {
        const size_t end = parts.data.size();
        parts.header["extra.weight"] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {end, end}}};
      },
      {"config.json has no place for: 'extra.weight'"});
}

TEST_CASE("F: shape mismatch") {
  refused_header(
      [](Parts& parts) {
        parts.header[kEmbedding]["shape"] = {128, 1024};
      },
      {kEmbedding, "[128, 1024]", "expected [1024, 128] by config.json"});
}

TEST_CASE("F: tie contradicts") {
  refused_header(
      [](Parts& parts) {
        const size_t begin = parts.data.size(), bytes = size_t{4} * 1024 * 128;
        parts.header["lm_head.weight"] = {
            {"dtype", "F32"}, {"shape", {1024, 128}}, {"data_offsets", {begin, begin + bytes}}};
        parts.data += std::string(bytes, '\1');
      },
      {"'tie_word_embeddings'", "'lm_head.weight'", "differs"});
}

TEST_CASE("F: shard ../") { refused_shard("../x.safetensors"); }
TEST_CASE("F: shard absolute") { refused_shard("/etc/passwd"); }
TEST_CASE("a shard whose name no file system takes is refused by name") { refused_shard(std::string(300, 'a')); }

TEST_CASE("F: shard that is a symlink to a file elsewhere is read, as the Hub's cache has them") {
  const TemporaryDirectory directory;
  const fs::path model = directory / "model";
  fs::copy(quickstart() / "model", model, fs::copy_options::recursive);
  fs::rename(model / "model.safetensors", directory / "blob");
  fs::create_symlink(directory / "blob", model / "model.safetensors");
  const Outcome outcome = run({"lora-inspect", model.string()});
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 0);
}

TEST_CASE("F: shard FIFO") {
  refused_model(
      [](const fs::path& model) {
        fs::remove(model / "model.safetensors");
        REQUIRE(::mkfifo((model / "model.safetensors").c_str(), 0600) == 0);
      },
      {"model.safetensors"}, 5);
}

TEST_CASE("F: LFS pointer") {
  refused_bytes(
      [](const std::string&) { return "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 5\n"; },
      {"is a Git LFS pointer", "git lfs pull"});
}

TEST_CASE("F: id >= rows") {
  const auto rows = [](int64_t count) {
    return [count](const fs::path& model) {
      json config = json::parse(read_bytes(model / "config.json"));
      config["vocab_size"] = count;
      write_bytes(model / "config.json", config.dump());
    };
  };
  refused_model(rows(900), {kEmbedding, "expected [900, 128] by config.json"});
}

TEST_CASE("F: tokenizer truncated or flipped") {
  refused_model(
      [](const fs::path& model) {
        const std::string bytes = read_bytes(model / "tokenizer.model");
        write_bytes(model / "tokenizer.model", bytes.substr(0, bytes.size() / 2));
      },
      {"tokenizer.model: not a whole SentencePiece model"});
  refused_model(
      [](const fs::path& model) {
        std::string bytes = read_bytes(model / "tokenizer.model");
        bytes[5000] = static_cast<char>(~bytes[5000]);
        write_bytes(model / "tokenizer.model", bytes);
      },
      {"tokenizer.model: not a whole SentencePiece model"});
}

TEST_CASE("F: deep protobuf") {
  refused_model(
      [](const fs::path& model) {
        std::string bytes;
        for (int i = 0; i < 3000; ++i) {
          std::string length;
          size_t left = bytes.size();
          for (; left > 127; left >>= 7) length += static_cast<char>(left & 127 | 128);
          length += static_cast<char>(left);
          bytes.insert(0, "\x0A" + length);
        }
        write_bytes(model / "tokenizer.model", bytes);
      },
      {"tokenizer.model"});
}

TEST_CASE("F: config.json with a key twice") {
  refused_model(
      [](const fs::path& model) {
        std::string text = read_bytes(model / "config.json");
        text.insert(text.find('{') + 1, "\"hidden_size\": 64,");
        write_bytes(model / "config.json", text);
      },
      {"config.json", "key 'hidden_size' is there twice"});
}

TEST_CASE("F: pickle refused") {
  refused_model([](const fs::path& model) { fs::rename(model / "model.safetensors", model / "pytorch_model.bin"); },
                {"pytorch_model.bin is a pickle and is not read"});
  refused_bytes([](const std::string&) { return "\x80\x02}q" + std::string(100, '\1'); }, {"is a pickle"});
}

TEST_CASE("F: mixed dtypes") {
  std::vector<double> losses;
  for (const bool mixed : {false, true}) {
    const TemporaryDirectory directory;
    const fs::path model = directory / "model";
    fs::copy(quickstart() / "model", model, fs::copy_options::recursive);
    Parts parts = parts_of(model);
    if (mixed) {
      store_as(parts, "q_proj", "BF16");
      put_parts(model, parts);
    }
    const Outcome outcome = run({"lora-train", quickstart_recipe(directory), "model.path=" + model.string(),
                                 "training.max_steps=1", "training.eval_every=0"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    losses.push_back(metrics(directory / "run").at(0).at("loss").get<double>());
  }
  CHECK(losses[0] != losses[1]);
  CHECK(losses[0] == Approx(losses[1]).epsilon(1e-2));
}

TEST_CASE("F: pad==eos by position") {
  // A row's own EOS is trained, though it is the padding's token too.
  std::vector<json> steps;
  for (const char* pad : {"<unk>", "</s>"}) {
    const TemporaryDirectory directory;
    const fs::path model = directory / "model";
    fs::copy(quickstart() / "model", model, fs::copy_options::recursive);
    write_bytes(
        model / "tokenizer_config.json",
        json{{"tokenizer_class", "LlamaTokenizer"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"pad_token", pad}}
            .dump());
    const Outcome outcome = run({"lora-train", quickstart_recipe(directory), "model.path=" + model.string(),
                                 "training.max_steps=1", "training.eval_every=0", "training.packing=false"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    steps.push_back(metrics(directory / "run").at(0));
  }
  CHECK(steps[0].at("supervised_tokens") == steps[1].at("supervised_tokens"));
  CHECK(steps[0].at("loss") == steps[1].at("loss"));
}

TEST_CASE("F: ReDoS") {
  const TemporaryDirectory directory;
  check_refused({"lora-train", quickstart_recipe(directory), "adapter.target_modules=((m|[a-z._0-9]+)+)+[^a-z._0-9]"},
                2, {"((m|[a-z._0-9]+)+)+[^a-z._0-9]", "match limit exceeded"});
}

TEST_CASE("F: 1M runs") {
  // A million equal characters are read in linear time: without a bound on time this would take hours if quadratic.
  for (const std::string& unit : {std::string("a"), std::string(" "), std::string("\u00e9")}) {
    const TemporaryDirectory directory;
    std::string run_of_them;
    for (int i = 0; i < 1'000'000; ++i) run_of_them += unit;
    write_bytes(directory / "rows.jsonl",
                json{{"prompt", "q"}, {"completion", run_of_them}}.dump() + "\n" + counting_rows(3));
    const Outcome outcome =
        run({"lora-train", quickstart_recipe(directory), "--dry-run", "data.validation=[]",
             "data.train=[{path: " + (directory / "rows.jsonl").string() + ", format: completion}]"});
    CAPTURE(outcome.err);
    CHECK(outcome.exit_code == 0);
    CHECK_THAT(outcome.out, Contains("1 cut at max_length"));
  }
}

namespace {

// Trains an adapter, changes the header of its file, and gives it to lora-generate.
void refused_adapter(const std::function<void(Parts&)>& change, const std::vector<std::string>& parts) {
  const TemporaryDirectory directory;
  REQUIRE(
      run({"lora-train", quickstart_recipe(directory), "training.max_steps=1", "training.eval_every=0"}).exit_code ==
      0);
  const fs::path file = directory / "run/adapter/adapter_model.safetensors";
  Parts whole = parts_of(file);
  change(whole);
  put_parts(file, whole);
  check_refused({"lora-generate", (quickstart() / "model").string(), "--adapter", (directory / "run/adapter").string(),
                 "--prompt", "a"},
                4, parts);
}

}  // namespace

TEST_CASE("F: adapter keys") {
  const std::string key = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
  const std::string other = "base_model.model.model.layers.0.self_attn.q_proj.lora_C.weight";
  refused_adapter(
      [&](Parts& parts) {
        parts.header[other] = parts.header[key];
        parts.header.erase(key);
      },
      {"adapter_model.safetensors: does not fit the adapted modules", "not expected: '" + other + "'"});
}

TEST_CASE("F: merged beyond tolerance") {
  const TemporaryDirectory directory;
  REQUIRE(
      run({"lora-train", quickstart_recipe(directory), "training.max_steps=1", "training.eval_every=0"}).exit_code ==
      0);
  const fs::path file = directory / "run/adapter/adapter_model.safetensors";
  Parts whole = parts_of(file);
  const float large = 1e30F;
  for (size_t i = 0; i + 4 <= whole.data.size(); i += 4) std::memcpy(whole.data.data() + i, &large, 4);
  put_parts(file, whole);
  check_refused({"lora-export", (directory / "run/adapter").string(), "--format", "huggingface", "--output",
                 (directory / "merged").string()},
                6, {"logits", "not finite", "Nothing was put in its place"});
  CHECK_FALSE(fs::exists(directory / "merged"));
}

TEST_CASE("F: truncated while mmapped: 4 not SIGBUS") {
  const TemporaryDirectory directory;
  const fs::path model = directory / "model";
  fs::copy(quickstart() / "model", model, fs::copy_options::recursive);
  Command command({"lora-train", quickstart_recipe(directory), "model.path=" + model.string(),
                   "training.max_steps=100000", "training.eval_every=0", "training.checkpoint_every=0"});
  for (int tries = 0; tries < 6000 && read_bytes(directory / "run/metrics.jsonl").empty(); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  fs::resize_file(model / "model.safetensors", 4096);
  const Outcome outcome = command.wait();
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 4);
  CHECK_THAT(outcome.err, Contains((model / "model.safetensors").string()) && Contains("became shorter"));
}
