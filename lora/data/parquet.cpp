#include "lora/data/parquet.h"

#include "models/base/error.h"

#ifdef LORA_PARQUET

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace lora {
namespace {

using nlohmann::ordered_json;

constexpr int64_t kBatchRows = 1024;
constexpr int kDeepest = 64;  // maximum nesting of lists and structs

ordered_json json_of(const arrow::Array& array, int64_t i, int depth);

ordered_json list_of(const arrow::Array& values, int64_t begin, int64_t end, int depth) {
  ordered_json list = ordered_json::array();
  for (int64_t i = begin; i < end; ++i) list.push_back(json_of(values, i, depth));
  return list;
}

template <typename Lists>
ordered_json list_at(const arrow::Array& array, int64_t i, int depth) {
  const auto& lists = static_cast<const Lists&>(array);
  return list_of(*lists.values(), lists.value_offset(i), lists.value_offset(i) + lists.value_length(i), depth);
}

// A struct has the fields of all rows in the file; those that this row does not have are null.
ordered_json struct_at(const arrow::StructArray& array, int64_t i, int depth) {
  ordered_json object = ordered_json::object();
  for (int field = 0; field < array.num_fields(); ++field) {
    ordered_json value = json_of(*array.field(field), i, depth);
    if (!value.is_null()) object[array.struct_type()->field(field)->name()] = std::move(value);
  }
  return object;
}

template <typename Texts>
ordered_json text_at(const arrow::Array& array, int64_t i) {
  return std::string(static_cast<const Texts&>(array).GetView(i));
}

template <typename Numbers>
ordered_json number_at(const arrow::Array& array, int64_t i) {
  return static_cast<const Numbers&>(array).Value(i);
}

ordered_json json_of(const arrow::Array& array, int64_t i, int depth) {
  if (depth > kDeepest) throw DataError("nested more than " + std::to_string(kDeepest) + " deep");
  if (array.IsNull(i)) return nullptr;
  switch (array.type_id()) {
    case arrow::Type::STRING:
      return text_at<arrow::StringArray>(array, i);
    case arrow::Type::LARGE_STRING:
      return text_at<arrow::LargeStringArray>(array, i);
    case arrow::Type::BINARY:
      return text_at<arrow::BinaryArray>(array, i);
    case arrow::Type::LARGE_BINARY:
      return text_at<arrow::LargeBinaryArray>(array, i);
    case arrow::Type::DICTIONARY: {
      const auto& words = static_cast<const arrow::DictionaryArray&>(array);
      return json_of(*words.dictionary(), words.GetValueIndex(i), depth + 1);
    }
    case arrow::Type::BOOL:
      return number_at<arrow::BooleanArray>(array, i);
    case arrow::Type::INT8:
      return number_at<arrow::Int8Array>(array, i);
    case arrow::Type::INT16:
      return number_at<arrow::Int16Array>(array, i);
    case arrow::Type::INT32:
      return number_at<arrow::Int32Array>(array, i);
    case arrow::Type::INT64:
      return number_at<arrow::Int64Array>(array, i);
    case arrow::Type::UINT8:
      return number_at<arrow::UInt8Array>(array, i);
    case arrow::Type::UINT16:
      return number_at<arrow::UInt16Array>(array, i);
    case arrow::Type::UINT32:
      return number_at<arrow::UInt32Array>(array, i);
    case arrow::Type::UINT64:
      return number_at<arrow::UInt64Array>(array, i);
    case arrow::Type::FLOAT:
      return number_at<arrow::FloatArray>(array, i);
    case arrow::Type::DOUBLE:
      return number_at<arrow::DoubleArray>(array, i);
    case arrow::Type::LIST:
      return list_at<arrow::ListArray>(array, i, depth + 1);
    case arrow::Type::LARGE_LIST:
      return list_at<arrow::LargeListArray>(array, i, depth + 1);
    case arrow::Type::STRUCT:
      return struct_at(static_cast<const arrow::StructArray&>(array), i, depth + 1);
    default: {  // times, decimals
      const auto scalar = array.GetScalar(i);
      if (!scalar.ok()) throw DataError("of a type that cannot be read: " + array.type()->ToString());
      return scalar.ValueUnsafe()->ToString();
    }
  }
}

}  // namespace

struct ParquetRows::State {
  std::string path;
  std::unique_ptr<parquet::arrow::FileReader> file;
  std::unique_ptr<arrow::RecordBatchReader> batches;
  std::shared_ptr<arrow::RecordBatch> batch;
  int64_t next = 0;  // in the batch
  int64_t rows = 0;  // so far

  [[noreturn]] void fail(const std::string& reason) const {
    throw DataError(path + (rows > 0 ? ":" + std::to_string(rows + 1) : "") +
                    ": not a Parquet file that can be read: " + reason.substr(0, reason.find('\n')));
  }
  void expect(const arrow::Status& status) const {
    if (!status.ok()) fail(status.message());
  }
  template <typename T>
  T take(arrow::Result<T> result) const {
    expect(result.status());
    return std::move(result).ValueUnsafe();
  }
  void open() {
    parquet::ReaderProperties reading;
    reading.enable_buffered_stream();  // reads pieces of a column instead of a whole row group
    parquet::ArrowReaderProperties made(/*use_threads=*/false);
    made.set_batch_size(kBatchRows);
    made.set_pre_buffer(false);
    parquet::arrow::FileReaderBuilder builder;
    expect(builder.Open(take(arrow::io::ReadableFile::Open(path)), reading));
    builder.properties(made);
    file = take(builder.Build());
    batches = take(file->GetRecordBatchReader());
  }
};

ParquetRows::ParquetRows(const std::string& path) : state_(std::make_unique<State>()) {
  state_->path = path;
  try {
    state_->open();
  } catch (const parquet::ParquetException& error) {
    state_->fail(error.what());
  }
}

ParquetRows::~ParquetRows() = default;
ParquetRows::ParquetRows(ParquetRows&&) noexcept = default;

double ParquetRows::share_read() const {
  const int64_t all = state_->file->parquet_reader()->metadata()->num_rows();
  return all > 0 ? static_cast<double>(state_->rows) / static_cast<double>(all) : 1;
}

bool ParquetRows::next(std::string& json, std::string& error) {
  State& state = *state_;
  try {
    while (!state.batch || state.next == state.batch->num_rows()) {
      state.expect(state.batches->ReadNext(&state.batch));
      state.next = 0;
      if (!state.batch) return false;
      state.expect(state.batch->ValidateFull());
    }
  } catch (const parquet::ParquetException& broken) {
    state.fail(broken.what());
  }
  const int64_t row = state.next++;
  ++state.rows;
  for (int column = 0; column < state.batch->num_columns(); ++column) {
    const std::string& name = state.batch->column_name(column);
    if (state.batch->schema()->GetAllFieldIndices(name).size() == 1) continue;
    error = "key '" + name + "' is there twice; expected it once";
    return true;
  }
  ordered_json object = ordered_json::object();
  for (int column = 0; column < state.batch->num_columns(); ++column) {
    const std::string& name = state.batch->column_name(column);
    try {
      object[name] = json_of(*state.batch->column(column), row, 0);
      object[name].dump();  // throws for invalid UTF-8
    } catch (const ordered_json::exception&) {
      error = "column '" + name + "' holds bytes that are not UTF-8";
      return true;
    } catch (const DataError& nested) {
      error =
          "column '" + name + "' is " + std::string(nested.what()).substr(std::string(nested.what()).find("] ") + 2);
      return true;
    }
  }
  try {
    json = object.dump();
  } catch (const ordered_json::exception&) {
    error = "a column's name is not UTF-8";
  }
  return true;
}

}  // namespace lora

#else

namespace lora {

struct ParquetRows::State {};

ParquetRows::ParquetRows(const std::string& path) {
  throw DataError(path +
                  ": is a Parquet file, and this is built without Parquet (cmake -DLORA_PARQUET=…, see README.md); "
                  "expected JSONL or CSV, such as pandas writes: "
                  "read_parquet(PATH).to_json('rows.jsonl', orient='records', lines=True)");
}
ParquetRows::~ParquetRows() = default;
ParquetRows::ParquetRows(ParquetRows&&) noexcept = default;
bool ParquetRows::next(std::string&, std::string&) { return false; }  // never called
double ParquetRows::share_read() const { return 0; }                  // neither

}  // namespace lora

#endif
