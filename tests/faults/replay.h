#pragma once
// What a power loss leaves of a recorded run, by the rules of a file system: bytes survive when their file was flushed
// since, names when their directory was. Of what was not flushed, anything may be there: none of it, all of it, sizes
// without bytes, some names without the others. A rename is there as a whole or not at all.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/faults/interposed/recording.h"

namespace lora::test {

std::vector<Event> read_recording(const std::filesystem::path& file);

// The disk while a recording is played: what programs see, what is flushed, and what is not.
class Disk {
 public:
  explicit Disk(std::filesystem::path root);

  void play(const Event& event);

  // What of a file's unflushed bytes survives.
  enum class Bytes { kFlushed, kAll, kSizeAlone, kHalf, kGarbage };
  // Which of the unflushed changes of names survive, and of each file, what of its bytes.
  struct Choice {
    std::function<bool(size_t change)> name;
    std::function<Bytes()> bytes;
  };
  // The number of unflushed changes of names.
  size_t changes() const { return changes_.size(); }

  // The files that a power loss leaves; a directory ends with a slash.
  std::map<std::string, std::string> after_power_loss(const Choice& choice) const;

 private:
  using Id = size_t;  // of a file or directory; 0 is the root
  using Names = std::map<std::string, Id>;
  struct Node {
    bool directory = false;
    std::string now, flushed;  // a file's bytes
    Names names_now, names_flushed;
  };
  // A change of names that is there as a whole or not at all. `second` is kNone where a name is removed.
  struct NameChange {
    Id directory;
    std::string name;
    Id node;
  };
  static constexpr Id kNone = ~Id{0};

  Id find(const std::filesystem::path& path) const;
  std::pair<Id, std::string> place(const std::filesystem::path& path) const;
  void change(std::vector<NameChange> changes);
  Id make(bool directory, uint64_t file);
  void collect(const std::vector<Names>& names, Id node, const std::string& path, const Choice& choice,
               std::map<std::string, std::string>& to) const;

  std::filesystem::path root_;
  std::vector<Node> nodes_;
  std::map<uint64_t, Id> by_file_;                // inode number -> the latest node that has it
  std::vector<std::vector<NameChange>> changes_;  // not flushed, in order
};

// Writes the files below `root`, which is emptied first.
void materialize(const std::map<std::string, std::string>& files, const std::filesystem::path& root);

// The choices that are tried at each point: the extremes, each change of names alone without its bytes, and `random`
// ones of the generator.
std::vector<Disk::Choice> choices(const Disk& disk, size_t random, std::mt19937_64& generator);

}  // namespace lora::test
