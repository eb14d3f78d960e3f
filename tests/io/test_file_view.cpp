// Tensors that are a mapped file's: their memory may go at any time, and only theirs does.

#include "models/io/file_view.h"

#include <ATen/ATen.h>

#include <fstream>
#include <string>

#include "models/io/safetensors.h"
#include "tests/catch.h"
#include "tests/temporary_directory.h"

namespace lora {
namespace {

// Memory of files that this process holds, in bytes.
int64_t held_of_files() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("RssFile:")) return 1024 * std::stoll(line.substr(8));
  }
  return 0;
}

TEST_CASE("pages of a file view that went are read again, and weigh nothing until then") {
  const test::TemporaryDirectory directory;
  const at::Tensor written = at::randn({1000, 2000});
  write_safetensors(directory / "weights.safetensors", {{"w", written}});
  const SafetensorsFile file(directory / "weights.safetensors");
  const at::Tensor view = file.tensor("w");
  REQUIRE(is_file_view(view));
  REQUIRE(is_file_view(view.narrow(0, 10, 5)));
  CHECK(at::equal(view, written));
  const int64_t before = held_of_files();
  release_pages(view);
  if (before > 0) CHECK(before - held_of_files() > 7'000'000);
  CHECK(at::equal(view, written));
  release_pages(view.narrow(0, 100, 300));
  CHECK(at::equal(view, written));
}

TEST_CASE("the memory of other tensors, and of trained ones, stays") {
  const test::TemporaryDirectory directory;
  write_safetensors(directory / "weights.safetensors", {{"w", at::zeros({500, 500})}});
  const SafetensorsFile file(directory / "weights.safetensors");
  at::Tensor trained = file.tensor("w").requires_grad_();
  trained.data().fill_(3);
  const at::Tensor own = at::full({500, 500}, 4.0f);
  for (const at::Tensor& t : {trained, own, at::Tensor()}) release_pages(t);
  CHECK_FALSE(is_file_view(own));
  CHECK(trained.eq(3).all().item<bool>());
  CHECK(own.eq(4).all().item<bool>());
}

}  // namespace
}  // namespace lora
