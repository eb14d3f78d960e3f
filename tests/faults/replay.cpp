#include "tests/faults/replay.h"

#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "tests/temporary_directory.h"

namespace lora::test {

namespace fs = std::filesystem;

std::vector<Event> read_recording(const fs::path& file) {
  const std::string bytes = read_bytes(file);
  std::vector<Event> events;
  for (size_t at = 0; at < bytes.size();) {
    EventHeader header;
    if (bytes.size() - at < sizeof(header)) throw std::runtime_error("a recording that is cut off");
    std::memcpy(&header, bytes.data() + at, sizeof(header));
    at += sizeof(header);
    const auto take = [&](size_t size) {
      at += size;
      return bytes.substr(at - size, size);
    };
    Event event{static_cast<Event::Kind>(header.kind), header.file, header.offset, "", "", ""};
    event.path = take(header.path_size);
    event.other = take(header.other_size);
    event.data = take(header.data_size);
    events.push_back(std::move(event));
  }
  return events;
}

Disk::Disk(fs::path root) : root_(std::move(root)), nodes_(1) { nodes_[0].directory = true; }

Disk::Id Disk::find(const fs::path& path) const {
  Id node = 0;
  for (const fs::path& part : path.lexically_relative(root_)) {
    if (part == ".") continue;
    const auto next = nodes_[node].names_now.find(part.string());
    if (next == nodes_[node].names_now.end()) throw std::runtime_error("no " + path.string() + " in the recording");
    node = next->second;
  }
  return node;
}

std::pair<Disk::Id, std::string> Disk::place(const fs::path& path) const {
  return {find(path.parent_path()), path.filename().string()};
}

Disk::Id Disk::make(bool directory, uint64_t file) {
  nodes_.push_back({directory, "", "", {}, {}});
  by_file_[file] = nodes_.size() - 1;
  return nodes_.size() - 1;
}

void Disk::change(std::vector<NameChange> changes) {
  for (const NameChange& one : changes) {
    Names& names = nodes_[one.directory].names_now;
    if (one.node == kNone) {
      names.erase(one.name);
    } else {
      names[one.name] = one.node;
    }
  }
  changes_.push_back(std::move(changes));
}

void Disk::play(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kCreate:
    case Event::Kind::kMakeDirectory: {
      const auto [directory, name] = place(event.path);
      change({{directory, name, make(event.kind == Event::Kind::kMakeDirectory, event.file)}});
      break;
    }
    case Event::Kind::kWrite: {
      std::string& bytes = nodes_.at(by_file_.at(event.file)).now;
      bytes.resize(std::max(bytes.size(), event.offset + event.data.size()));
      bytes.replace(event.offset, event.data.size(), event.data);
      break;
    }
    case Event::Kind::kTruncate:
      nodes_.at(by_file_.at(event.file)).now.resize(event.offset);
      break;
    case Event::Kind::kSync: {
      const auto found = by_file_.find(event.file);
      const Id id = found == by_file_.end() ? 0 : found->second;  // the root was there before
      nodes_[id].flushed = nodes_[id].now;
      if (!nodes_[id].directory) break;
      // A change that touches another directory too is there as a whole.
      std::vector<std::vector<NameChange>> left;
      for (auto& group : changes_) {
        bool touches = false;
        for (const NameChange& one : group) touches |= one.directory == id;
        if (!touches) {
          left.push_back(std::move(group));
          continue;
        }
        for (const NameChange& one : group) {
          Names& names = nodes_[one.directory].names_flushed;
          if (one.node == kNone) {
            names.erase(one.name);
          } else {
            names[one.name] = one.node;
          }
        }
      }
      changes_ = std::move(left);
      break;
    }
    case Event::Kind::kRename: {
      const auto [from, old_name] = place(event.path);
      const auto [to, name] = place(event.other);
      change({{from, old_name, kNone}, {to, name, find(event.path)}});
      break;
    }
    case Event::Kind::kExchange: {
      const auto [one, one_name] = place(event.path);
      const auto [two, two_name] = place(event.other);
      change({{one, one_name, find(event.other)}, {two, two_name, find(event.path)}});
      break;
    }
    case Event::Kind::kUnlink:
    case Event::Kind::kRemoveDirectory: {
      const auto [directory, name] = place(event.path);
      change({{directory, name, kNone}});
      break;
    }
  }
}

std::map<std::string, std::string> Disk::after_power_loss(const Choice& choice) const {
  std::vector<Names> names;
  for (const Node& node : nodes_) names.push_back(node.names_flushed);
  for (size_t i = 0; i < changes_.size(); ++i) {
    if (!choice.name(i)) continue;
    for (const NameChange& one : changes_[i]) {
      if (one.node == kNone) {
        names[one.directory].erase(one.name);
      } else {
        names[one.directory][one.name] = one.node;
      }
    }
  }
  std::map<std::string, std::string> files;
  collect(names, 0, "", choice, files);
  return files;
}

void Disk::collect(const std::vector<Names>& names, Id node, const std::string& path, const Choice& choice,
                   std::map<std::string, std::string>& to) const {
  if (nodes_[node].directory) {
    if (!path.empty()) to[path + "/"] = "";
    for (const auto& [name, child] : names[node]) {
      collect(names, child, path.empty() ? name : path + "/" + name, choice, to);
    }
    return;
  }
  const std::string &now = nodes_[node].now, &flushed = nodes_[node].flushed;
  std::string bytes = flushed;
  if (now != flushed) {
    switch (choice.bytes()) {
      case Bytes::kFlushed:
        break;
      case Bytes::kAll:
        bytes = now;
        break;
      case Bytes::kSizeAlone:
        bytes.resize(now.size());
        break;
      case Bytes::kHalf:
        bytes = now.substr(0, flushed.size() < now.size() ? (flushed.size() + now.size()) / 2 : now.size());
        break;
      case Bytes::kGarbage:
        bytes.resize(now.size(), '\xa5');
        break;
    }
  }
  to[path] = bytes;
}

void materialize(const std::map<std::string, std::string>& files, const fs::path& root) {
  fs::remove_all(root);
  fs::create_directories(root);
  for (const auto& [name, bytes] : files) {
    if (name.ends_with('/')) {
      fs::create_directory(root / name.substr(0, name.size() - 1));
    } else {
      write_bytes(root / name, bytes);
    }
  }
}

std::vector<Disk::Choice> choices(const Disk& disk, size_t random, std::mt19937_64& generator) {
  using Bytes = Disk::Bytes;
  const auto all = [](bool names, Bytes bytes) {
    return Disk::Choice{[=](size_t) { return names; }, [=] { return bytes; }};
  };
  std::vector<Disk::Choice> list = {all(false, Bytes::kFlushed),  all(true, Bytes::kAll),  all(true, Bytes::kFlushed),
                                    all(true, Bytes::kSizeAlone), all(true, Bytes::kHalf), all(false, Bytes::kGarbage)};
  for (size_t i = 0; i < disk.changes(); ++i) {
    list.push_back({[=](size_t change) { return change == i; }, [] { return Bytes::kFlushed; }});
  }
  for (size_t i = 0; i < random; ++i) {
    const auto own = std::make_shared<std::mt19937_64>(generator());
    list.push_back({[=](size_t) { return (*own)() % 2 == 0; }, [=] { return static_cast<Bytes>((*own)() % 5); }});
  }
  return list;
}

}  // namespace lora::test
