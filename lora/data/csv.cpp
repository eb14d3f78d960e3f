#include "lora/data/csv.h"

#include "lora/data/input.h"
#include "models/base/error.h"
#include "models/base/utf8.h"

namespace lora {
bool CsvReader::ends_field(int c) const { return c == separator_ || c == '\n' || c == kEndOfInput; }

void CsvReader::fail(int64_t line, const std::string& message) {
  problem_line_ = line;
  problem_ = message;
  throw DataError(place(line) + ": " + message);
}

bool CsvReader::skip_line() {
  if (lost_) return false;
  record_bytes_ = 0;
  while (last_ != '\n' && last_ != kEndOfInput) get();
  return true;
}

int CsvReader::get() {
  const int c = last_ = in_.sbumpc();
  if (c == '\n') ++line_;
  // An unclosed quote turns the rest of the file into one record; this limits the memory.
  if (++record_bytes_ > kMostRecordBytes) {
    lost_ = true;
    fail(record_line_, "a record of more than 16 MiB begins here; is a quote not closed?");
  }
  return c;
}

// Turns CRLF into LF; returns any other character `c` unchanged.
int CsvReader::end_of_line(int c) {
  if (c != '\r') return c;
  const int next = get();
  if (next == '\n' || next == kEndOfInput) return next;
  fail(line_, "found a carriage return without a line feed; expected lines that end in LF or CRLF");
}

int CsvReader::read_quoted(std::string& field) {
  const int64_t opened = line_;
  while (true) {
    int c = get();
    if (c == kEndOfInput) {
      lost_ = true;
      fail(opened, "a quote opens here and is never closed");
    }
    if (c == '"') {
      c = get();
      if (c != '"') {
        c = end_of_line(c);
        if (ends_field(c)) return c;
        fail(line_, "found text after a closing quote; within quotes, a quote is written twice");
      }
    }
    field += static_cast<char>(c);
  }
}

int CsvReader::read_plain(std::string& field, int c) {
  for (;; c = get()) {
    c = end_of_line(c);
    if (ends_field(c)) return c;
    field += static_cast<char>(c);
  }
}

bool CsvReader::next(std::vector<std::string>& fields) {
  fields.clear();
  int c;
  do {
    record_line_ = line_;
    record_bytes_ = 0;
    c = end_of_line(get());
  } while (c == '\n');
  if (c == kEndOfInput) return false;
  for (bool first = true; first || c == separator_; first = false) {
    if (!first) c = get();
    const int64_t field_line = line_;
    std::string& field = fields.emplace_back();
    c = c == '"' ? read_quoted(field) : read_plain(field, c);
    if (!is_utf8(field)) fail(field_line, "this field is not UTF-8 text; save the file as UTF-8");
    if (field.find('\0') != std::string::npos) fail(field_line, "found a NUL byte; is this a text file?");
  }
  return true;
}

}  // namespace lora
