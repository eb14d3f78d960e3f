#pragma once
// CSV as RFC 4180 defines it, read strictly: what could be meant in two ways is an error, not a guess.

#include <cstdint>
#include <streambuf>
#include <string>
#include <vector>

namespace lora {

// Records of a stream, one at a time. Fields are separated by commas and may stand in double quotes; there, a quote is
// written twice, and commas and line ends are text. Lines end in LF or CRLF, the last one need not; blank lines are no
// records. TSV is the same with tabs for commas. Every error is a DataError "NAME:LINE: …": a quote that is not closed,
// text after a closing quote, a quote within an unquoted field, a carriage return alone, bytes that are not UTF-8, a
// NUL byte, a record of more than kMostRecordBytes.
class CsvReader {
 public:
  // The stream must outlive the reader.
  CsvReader(std::streambuf& in, std::string name, char separator = ',')
      : in_(in), name_(std::move(name)), separator_(separator) {}

  // False at the end of the stream; `fields` is then empty.
  bool next(std::vector<std::string>& fields);

  // "NAME:LINE", where the last record begins.
  std::string where() const { return place(record_line_); }
  int64_t line() const { return record_line_; }

  // After an error: what is wrong, without its place, and where.
  const std::string& problem() const { return problem_; }
  int64_t problem_line() const { return problem_line_; }
  // After an error: goes on with the next line. False where that would be a guess: a quote that is not closed may have
  // taken any number of records with it.
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
