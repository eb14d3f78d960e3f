#pragma once
// CSV as RFC 4180 defines it, read strictly: what could be meant in two ways is an error, not a guess.

#include <cstdint>
#include <istream>
#include <string>
#include <vector>

namespace lora {

// Records of a stream, one at a time. Fields are separated by commas and may stand in double quotes; there, a quote is
// written twice, and commas and line ends are text. Lines end in LF or CRLF, the last one need not; blank lines are no
// records. Every error is a DataError "NAME:LINE: …": a quote that is not closed, text after a closing quote, a quote
// within an unquoted field, a carriage return alone, bytes that are not UTF-8, a record of more than 16 MiB.
class CsvReader {
 public:
  // The stream must outlive the reader.
  CsvReader(std::istream& in, std::string name) : in_(in), name_(std::move(name)) {}

  // False at the end of the stream; `fields` is then empty.
  bool next(std::vector<std::string>& fields);

  // "NAME:LINE", where the last record begins.
  std::string where() const { return place(record_line_); }

 private:
  int get();
  int end_of_line(int c);
  int read_quoted(std::string& field);
  int read_plain(std::string& field, int c);
  std::string place(int64_t line) const { return name_ + ":" + std::to_string(line); }
  [[noreturn]] void fail(int64_t line, const std::string& message) const;

  std::istream& in_;
  std::string name_;
  int64_t line_ = 1, record_line_ = 1;
  size_t record_bytes_ = 0;
};

}  // namespace lora
