#pragma once
// One line of a terminal that tells as much as fits it.

#include <cstddef>
#include <map>
#include <string>

namespace lora {

// Takes parts as long as there is room, so they are put in the order of their worth. They stand by place, with two
// spaces between them. The line is shorter than the terminal: a full one would wrap.
class FittedLine {
 public:
  explicit FittedLine(int width) : width_(width) {}

  // The columns that another part may have.
  int room() const;
  // Whether it fits, in `columns` at least, the rest of which is blank. What has no column is no part.
  bool put(int place, const std::string& text, size_t columns = 0);
  // A bar that is filled by `share` (0 to 1), in the room that is left: of 6 columns at least, 24 at most.
  void put_bar(int place, double share);
  std::string text() const;

 private:
  int width_;
  std::map<int, std::string> parts_;
};

}  // namespace lora
