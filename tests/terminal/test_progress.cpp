#include "lora/terminal/progress.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <thread>

#include "lora/terminal/busy.h"
#include "lora/terminal/output.h"
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
  const std::string_view begin = "begin\n";  // the silence before is none of this
  say(begin);
  work();
  std::fflush(stdout);
  ::dup2(before, STDOUT_FILENO);
  ::close(file);
  ::close(before);
  return read_bytes(path).substr(begin.size());
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

TEST_CASE("a step that takes long is shown with its passes, from then on") {
  const std::string text = printed([] {
    ProgressDisplay display(3, 10, {.redraws = true, .colour = true, .width = 60});
    display.pass(0, 8);
    display.pass(2, 8);
    std::this_thread::sleep_for(std::chrono::milliseconds(1600));
    display.step({4, 1000, 1.6, "loss 1.5", "1.2 GB"});
  });
  const auto lines = drawn_lines(text);
  CHECK(lines[1].starts_with("3/10   pass 2/8  0:0"));
  CHECK(lines[lines.size() - 2].starts_with("4/10   pass 0/8  0:00  "));
  for (const std::string& line : lines) CHECK(width_of(line) < 60);
}

// Where a text begins, in columns; -1: nowhere.
int column_of_text(const std::string& line, const std::string& text) {
  const size_t at = line.find(text);
  return at == std::string::npos ? -1 : static_cast<int>(width_of(line.substr(0, at)));
}

TEST_CASE("what has a place on the line of a terminal keeps it") {
  for (const int width : {50, 60, 80, 120}) {
    const std::string text = printed([&] {
      ProgressDisplay display(0, 12'000, {.redraws = true, .colour = true, .width = width});
      for (int64_t step = 1; step <= 12'000; ++step) {
        // Numbers and remaining times that get shorter and longer, and losses that are not finite.
        const double seconds = step < 20 ? 0.9 : 0.2, loss = step % 7 == 0 ? NAN : 12.5 / static_cast<double>(step);
        display.step({step, 1000, seconds, "loss " + fixed(loss, 4), "1.2 GB", loss, "lr 2.00e-04",
                      step == 500 ? "skipped: not finite" : ""});
      }
    });
    std::vector<std::string> lines = drawn_lines(text);
    std::erase_if(lines, [](const std::string& line) { return line.empty(); });
    REQUIRE(lines.size() == 12'000);
    CHECK(lines.back().starts_with("12,000/12,000  "));
    for (const std::string part : {"loss ", "lr ", "tok/s", "GB", "ETA "}) {
      const bool is_shown = column_of_text(lines[30], part) >= 0;
      std::set<int> columns;
      for (size_t i = 30; i < lines.size(); ++i) {
        if (i != 499) columns.insert(column_of_text(lines[i], part));  // but for the note of one step
      }
      CAPTURE(width, part, lines[30], lines.back());
      CHECK(columns.size() == 1);
      CHECK(is_shown == (*columns.begin() >= 0));
    }
    CHECK((text.find("skipped: not finite") != std::string::npos) == (width == 120));
  }
}

TEST_CASE("off a terminal a note of a step stands in its line") {
  const std::string text = printed([] {
    ProgressDisplay display(1999, 2000);
    display.step({2000, 1000, 0.5, "loss 1.5", "1.2 GB", 1.5, "lr 2.00e-04", "skipped: not finite"});
  });
  CHECK(text == "step 2,000/2,000  loss 1.5  lr 2.00e-04  skipped: not finite  2,000 tok/s  1.2 GB  ETA 0:00\n");
}

TEST_CASE("of two that are busy the inner one is shown, then the outer one again") {
  const Console terminal = {.redraws = true, .colour = true, .width = 60};
  const auto wait = [] { std::this_thread::sleep_for(std::chrono::milliseconds(700)); };
  const std::string text = printed([&] {
    Busy outer("loading", terminal);
    Busy::tell(1, 2);
    {
      Busy inner("reading", terminal);
      Busy::tell(3, 4);
      wait();
      say("a line of its own\n");
      wait();
    }
    wait();
    CHECK(Busy::any());
  });
  CHECK_FALSE(Busy::any());
  const size_t inner = text.find("reading  3/4"), outer = text.find("loading  1/2");
  CHECK(inner != std::string::npos);
  CHECK(outer != std::string::npos);
  CHECK(inner < outer);
  CHECK(text.find("loading") == outer);
  // What is said stands alone, whatever was drawn.
  const std::vector<std::string> lines = drawn_lines(text);
  CHECK(std::ranges::count(lines, "a line of its own") == 1);
  CHECK(text.ends_with("\r\x1b[K"));
}

TEST_CASE("off a terminal what is busy says so before ten seconds are silent", "[.long]") {
  const std::string text = printed([] {
    Busy first("reading", {});
    std::this_thread::sleep_for(std::chrono::seconds(5));
    CHECK(silence() > std::chrono::seconds(4));
    first.next("planning");
    first.at(3, 4, "3 rows");
    std::this_thread::sleep_for(std::chrono::seconds(16));
  });
  CHECK_THAT(text, Catch::Matchers::StartsWith("planning  3 rows  0:0") &&
                       Catch::Matchers::Contains("\nplanning  3 rows  0:1"));
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
