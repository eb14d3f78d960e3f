#include "lora/terminal/progress.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "lora/terminal/busy.h"
#include "lora/terminal/text.h"
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

// The lines as a terminal shows them in turn, without the sequence that clears one.
std::vector<std::string> drawn_lines(const std::string& text) {
  std::vector<std::string> lines(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' || text[i] == '\n') {
      lines.emplace_back();
      if (text.compare(i, 4, "\r\x1b[K") == 0) i += 3;
    } else {
      lines.back() += text[i];
    }
  }
  return lines;
}

TEST_CASE("on a terminal a step is one line that fits it, and tells the more the wider it is") {
  for (const int width : {20, 40, 60, 80, 200}) {
    const std::string text = printed([&] {
      ProgressDisplay display(0, 2000, {.redraws = true, .colour = true, .width = width});
      for (int64_t step = 1; step <= 700; ++step) {
        display.step({step, 1000, 0.5, "loss 1.5", "1.2 GB", 1.0 / static_cast<double>(step), "lr 2.00e-04"});
      }
    });
    const auto lines = drawn_lines(text);
    CHECK(lines.size() > 700);
    for (const std::string& line : lines) CHECK(width_of(line) < static_cast<size_t>(width));
    const std::string& last = lines[lines.size() - 2];
    CAPTURE(width, last);
    CHECK((last.find("loss 1.5") != std::string::npos) == (width >= 20));
    CHECK((last.find("ETA 10:50") != std::string::npos) == (width >= 40));
    CHECK((last.find("▁▁▁") != std::string::npos) == (width >= 40));
    CHECK((last.find("2,000 tok/s") != std::string::npos) == (width >= 60));
    CHECK((last.find("1.2 GB") != std::string::npos) == (width >= 80));
    CHECK((last.find("░░░") != std::string::npos) == (width >= 200));
  }
}

TEST_CASE("the remaining time has what is to come beside the steps") {
  const std::string text = printed([] {
    ProgressDisplay display(0, 10);
    display.expect("validation", 2);
    display.step({1, 1000, 1.0, "loss 1", "1 GB"});
    display.spent("validation", 30);
    display.step({10, 1000, 1.0, "loss 1", "1 GB"});
  });
  CHECK_THAT(text, Catch::Matchers::Contains("step 1/10  loss 1  1,000 tok/s  1 GB  ETA 0:09+\n"));
  CHECK_THAT(text, Catch::Matchers::Contains("step 2/10  loss 1  1,000 tok/s  1 GB  ETA 0:38\n"));
  CHECK(as_remaining(59) == "0:59");
  CHECK_THAT(as_remaining(90'000), Catch::Matchers::StartsWith("25:00:00 (") && Catch::Matchers::EndsWith(")"));
}

TEST_CASE("what has not taken place yet is in the remaining time by a guess") {
  const std::string text = printed([] {
    ProgressDisplay display(0, 10);
    display.expect("exports", 1);
    display.step({1, 1000, 1.0, "loss 1", "1 GB"});
    display.guess("exports", 50);
    display.step({10, 1000, 1.0, "loss 1", "1 GB"});
    display.spent("exports", 20);
    display.expect("exports", 1);
    display.step({10, 1000, 1.0, "loss 1", "1 GB"});
  });
  CHECK_THAT(text, Catch::Matchers::Contains("step 1/10  loss 1  1,000 tok/s  1 GB  ETA 0:09+\n"));
  CHECK_THAT(text, Catch::Matchers::Contains("step 2/10  loss 1  1,000 tok/s  1 GB  ETA 0:58\n"));
  CHECK_THAT(text, Catch::Matchers::Contains("step 3/10  loss 1  1,000 tok/s  1 GB  ETA 0:27\n"));
}

TEST_CASE("off a terminal a line comes before the silence would be of ten seconds") {
  const std::string text = printed([] {
    ProgressDisplay display(0, 1000);
    for (int64_t step = 1; step <= 7; ++step) display.step({step, 1000, 11.0, "loss 1", "1 GB"});
  });
  CHECK(std::count(text.begin(), text.end(), '\n') == 7);
}

TEST_CASE("a step that takes long is shown with its passes, and its line goes when the step is done") {
  const std::string text = printed([] {
    ProgressDisplay display(3, 10, {.redraws = true, .colour = true, .width = 60});
    display.pass(0, 8);
    display.pass(2, 8);
    std::this_thread::sleep_for(std::chrono::milliseconds(1600));
    display.step({4, 1000, 1.6, "loss 1.5", "1.2 GB"});
  });
  const auto lines = drawn_lines(text);
  CHECK(lines.front().starts_with("3/10  pass 2/8  0:0"));
  CHECK(lines[lines.size() - 2].starts_with("4/10  "));
  CHECK(lines[lines.size() - 2].find("pass") == std::string::npos);
  for (const std::string& line : lines) CHECK(width_of(line) < 60);
}

TEST_CASE("what is busy says so on a terminal, and takes its line away") {
  const std::string quiet = printed([] { Busy busy("reading", {}); });
  CHECK(quiet.empty());
  const std::string text = printed([] {
    Busy busy("reading", {.redraws = true, .colour = true, .width = 60});
    busy.at(12, 40);
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    busy.at(13, 40, "1,300 rows");
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    busy.next("checking");
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  });
  CHECK(text.starts_with("\r\x1b[Kreading  12/40  ██"));
  CHECK_THAT(text, Catch::Matchers::Contains("reading  1,300 rows  ██") && Catch::Matchers::Contains("  ETA 0:0") &&
                       Catch::Matchers::Contains("checking  0:0"));
  for (const std::string& line : drawn_lines(text)) CHECK(width_of(line) < 60);
  CHECK(text.ends_with("\r\x1b[K"));
}

}  // namespace
}  // namespace lora::test
