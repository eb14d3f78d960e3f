// Pages of a mapped file that are lost while it is in use.

#include "models/base/mapped_file.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/catch.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

// What a process says, and how it ends, that reads the last byte of a file which was cut after it was mapped.
struct End {
  int status = 0;
  std::string said;
};

End read_of_cut_file(const std::filesystem::path& path, ExitCode lost) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    report_lost_pages();
    const MappedFile before(path), file(path, lost);
    std::filesystem::resize_file(path, 10);
    const auto last = static_cast<volatile std::byte*>(file.data())[file.size() - 1];
    ::_exit(last == std::byte{1} ? 100 : 101);
  }
  ::close(ends[1]);
  End end;
  char buffer[4096];
  for (ssize_t bytes; (bytes = ::read(ends[0], buffer, sizeof buffer)) > 0;) end.said.append(buffer, bytes);
  ::close(ends[0]);
  ::waitpid(child, &end.status, 0);
  return end;
}

}  // namespace

TEST_CASE("a file that becomes shorter while it is mapped ends the process with its name and exit code") {
  const TemporaryDirectory directory;
  for (const ExitCode code : {ExitCode::kModel, ExitCode::kData}) {
    write_bytes(directory / "weights", std::string(100'000, 'a'));
    const End end = read_of_cut_file(directory / "weights", code);
    CAPTURE(end.said, end.status);
    REQUIRE(WIFEXITED(end.status));
    CHECK(WEXITSTATUS(end.status) == static_cast<int>(code));
    CHECK_THAT(end.said, Contains((directory / "weights").string()) && Contains("became shorter"));
  }
}

TEST_CASE("mapped files come and go, and each shows its own bytes") {
  const TemporaryDirectory directory;
  for (int round = 0; round < 100; ++round) {
    write_bytes(directory / "a", std::string(5000, static_cast<char>(round)));
    write_bytes(directory / "b", std::string(9000, static_cast<char>(round + 1)));
    const MappedFile a(directory / "a"), b(directory / "b");
    CHECK(a.size() == 5000);
    CHECK(a.data()[4999] == static_cast<std::byte>(round));
    CHECK(b.data()[8999] == static_cast<std::byte>(round + 1));
  }
}
