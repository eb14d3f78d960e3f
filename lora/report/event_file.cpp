#include "lora/report/event_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "models/base/atomic_file.h"

namespace lora {
namespace {

template <typename T>
std::string little_endian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  return bytes;
}

// Fields of a protocol buffer. A key is the field's number times eight, and how its value is written.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string integer_field(uint32_t number, uint64_t value) { return varint(number * 8) + varint(value); }
std::string double_field(uint32_t number, double value) {
  return varint(number * 8 + 1) + little_endian(std::bit_cast<uint64_t>(value));
}
std::string float_field(uint32_t number, float value) {
  return varint(number * 8 + 5) + little_endian(std::bit_cast<uint32_t>(value));
}
std::string bytes_field(uint32_t number, std::string_view bytes) {
  return varint(number * 8 + 2) + varint(bytes.size()) + std::string(bytes);
}

constexpr uint32_t kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;  // of Event
constexpr uint32_t kValue = 1;                                                                 // of Summary
constexpr uint32_t kTag = 1, kSimpleValue = 2;                                                 // of Summary.Value
constexpr uint32_t kStatus = 1, kStart = 1;                                                    // of SessionLog

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string event_of(int64_t step, const std::string& what) {
  return double_field(kWallTime, seconds_now()) + integer_field(kStep, static_cast<uint64_t>(step)) + what;
}

// So that a record which holds records with their own CRCs is not a fixed point.
std::string masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return little_endian(std::rotr(crc, 15) + 0xa282ead8u);
}

// TensorBoard reads files in the order of their names, which begin with the time.
std::filesystem::path new_event_file(const std::filesystem::path& directory) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  const std::string stem = "events.out.tfevents." + std::to_string(static_cast<int64_t>(seconds_now())) + "." +
                           host.data() + "." + std::to_string(::getpid());
  int number = 0;
  while (std::filesystem::exists(directory / (stem + "." + std::to_string(number)))) ++number;
  return directory / (stem + "." + std::to_string(number));
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<uint32_t, 256> made{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0x82f63b78u : 0);
      made[i] = value;
    }
    return made;
  }();
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = table[(crc ^ static_cast<unsigned char>(c)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

EventFile::EventFile(const std::filesystem::path& directory, int64_t last_step) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) throw_storage_error(directory, "make the directory", error.value());
  path_ = new_event_file(directory);
  file_ = FileDescriptor(
      retry_interrupted([&] { return ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666); }));
  if (file_.get() < 0) throw_storage_error(path_, "open", errno);
  append(event_of(0, bytes_field(kFileVersion, "brain.Event:2")));
  append(event_of(last_step == 0 ? 0 : last_step + 1, bytes_field(kSessionLog, integer_field(kStatus, kStart))));
}

void EventFile::add(const nlohmann::ordered_json& row) {
  std::string values;
  for (const auto& [key, value] : row.items()) {
    if (key == "step" || !(value.is_number() || value.is_null())) continue;
    const std::string tag = key.starts_with("eval_") ? "validation/" + key.substr(5) : "train/" + key;
    const double number = value.is_null() ? std::nan("") : value.get<double>();
    values += bytes_field(kValue, bytes_field(kTag, tag) + float_field(kSimpleValue, static_cast<float>(number)));
  }
  append(event_of(row.at("step").get<int64_t>(), bytes_field(kSummary, values)));
}

void EventFile::append(const std::string& event) {
  const std::string length = little_endian(static_cast<uint64_t>(event.size()));
  const std::string record = length + masked_crc(length) + event + masked_crc(event);
  write_all(file_.get(), record.data(), record.size(), path_);
}

}  // namespace lora
