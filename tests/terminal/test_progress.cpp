#include "lora/terminal/progress.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "tests/catch.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

// What `work` prints, with standard output in a file.
template <typename Work>
std::string printed(const Work& work) {
  const TemporaryDirectory directory;
  const std::string path = (directory / "out").string();
  std::fflush(stdout);
  const int before = ::dup(STDOUT_FILENO), file = ::open(path.c_str(), O_CREAT | O_WRONLY, 0600);
  ::dup2(file, STDOUT_FILENO);
  work();
  std::fflush(stdout);
  ::dup2(before, STDOUT_FILENO);
  ::close(file);
  ::close(before);
  return read_bytes(path);
}

TEST_CASE("without a terminal, progress is its first and last step and every twentieth of the run, a line each") {
  const std::string text = printed([] {
    ProgressDisplay display(0, 40);
    for (int64_t step = 1; step <= 40; ++step) display.step({step, 1000, 0.5, "loss 1.5", "1.2 GB"});
    display.note("validation loss 1.4");
    display.line("done");
  });
  CHECK(text.starts_with("step 1/40  loss 1.5  2,000 tok/s  1.2 GB  ETA 0:20\nstep 2/40  "));
  CHECK(text.ends_with("step 40/40  loss 1.5  2,000 tok/s  1.2 GB  ETA 0:00\nstep 40/40  validation loss 1.4\ndone\n"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 23);
}

TEST_CASE("a resumed run counts from its first step") {
  const std::string text = printed([] {
    ProgressDisplay display(30, 40);
    display.step({31, 1000, 0.5, "loss 1.5", "1.2 GB"});
  });
  CHECK(text == "step 31/40  loss 1.5  2,000 tok/s  1.2 GB  ETA 0:05\n");
}

}  // namespace
}  // namespace lora::test
