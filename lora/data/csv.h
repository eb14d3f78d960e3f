#pragma once
// A strict reader of CSV (RFC 4180): ambiguous input is an error. A quote within an unquoted field is text, as for
// pandas.

#include <cstdint>
#include <streambuf>
#include <string>
#include <vector>

namespace lora {

// Reads the records of a stream, one at a time. Commas separate fields. A field may be in double quotes; there, a quote
// is doubled, and commas and line ends are text. Lines end with LF or CRLF; the last line may end without one. Blank
// lines are skipped. TSV uses tabs instead of commas. Errors are DataError "NAME:LINE: …" for an unclosed quote, text
// after a closing quote, a lone carriage return, invalid UTF-8, a NUL byte, and a record
// of more than kMostRecordBytes.
class CsvReader {
 public:
  // The stream must outlive the reader.
  CsvReader(std::streambuf& in, std::string name, char separator = ',')
      : in_(in), name_(std::move(name)), separator_(separator) {}

  // Returns false at the end of the stream; `fields` is then empty.
  bool next(std::vector<std::string>& fields);

  // "NAME:LINE" of the start of the last record.
  std::string where() const { return place(record_line_); }
  int64_t line() const { return record_line_; }

  // After an error: the problem without its place, and its line.
  const std::string& problem() const { return problem_; }
  int64_t problem_line() const { return problem_line_; }
  // After an error: continues with the next line. Returns false if that would be a guess: an unclosed quote may contain
  // any number of records.
  bool skip_line();

 private:
  int get();
  int end_of_line(int c);
  int read_quoted(std::string& field);
  int read_plain(std::string& field, int c);
  std::string place(int64_t line) const { return name_ + ":" + std::to_string(line); }
  bool ends_field(int c) const;
  [[noreturn]] void fail(int64_t line, const std::string& message);

  std::streambuf& in_;
  const std::string name_;
  const char separator_;
  std::string problem_;
  int64_t problem_line_ = 0;
  int last_ = 0;
  bool lost_ = false;
  int64_t line_ = 1, record_line_ = 1;
  size_t record_bytes_ = 0;
};

}  // namespace lora
