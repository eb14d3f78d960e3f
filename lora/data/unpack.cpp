#include "lora/data/unpack.h"

#include <zlib.h>
#include <zstd.h>

#include <memory>
#include <new>

#include "models/base/error.h"

namespace lora {
namespace {

constexpr size_t kPacked = size_t{128} << 10;

// The packed bytes, read in pieces.
class Packed {
 public:
  Packed(ByteSource& file, std::string path)
      : file_(file), path_(std::move(path)), bytes_(std::make_unique_for_overwrite<char[]>(kPacked)) {}

  // Returns false at the end of the file.
  bool refill() {
    begin_ = 0;
    end_ = file_.read(bytes_.get(), kPacked);
    return end_ > 0;
  }
  bool empty() const { return begin_ == end_; }
  char* data() { return bytes_.get() + begin_; }
  size_t size() const { return end_ - begin_; }
  void take(size_t count) { begin_ += count; }
  [[noreturn]] void fail(const std::string& message) const { throw DataError(path_ + ": " + message); }

 private:
  ByteSource& file_;
  const std::string path_;
  std::unique_ptr<char[]> bytes_;
  size_t begin_ = 0, end_ = 0;
};

class Gunzip : public ByteSource {
 public:
  Gunzip(ByteSource& file, const std::string& path) : packed_(file, path) {
    constexpr int kWindow = 15, kGzip = 16;
    if (inflateInit2(&stream_, kWindow + kGzip) != Z_OK) throw std::bad_alloc();
  }
  ~Gunzip() override { inflateEnd(&stream_); }

  size_t read(char* data, size_t size) override {
    stream_.next_out = reinterpret_cast<Bytef*>(data);
    stream_.avail_out = static_cast<uInt>(size);
    while (stream_.avail_out == size) {
      if (packed_.empty() && !packed_.refill()) {
        if (inside_) packed_.fail("the gzip stream ends early; is the file whole?");
        return 0;
      }
      if (!inside_) inflateReset(&stream_);  // the next stream
      inside_ = true;
      stream_.next_in = reinterpret_cast<Bytef*>(packed_.data());
      stream_.avail_in = static_cast<uInt>(packed_.size());
      const int status = inflate(&stream_, Z_NO_FLUSH);
      packed_.take(packed_.size() - stream_.avail_in);
      if (status == Z_STREAM_END) {
        inside_ = false;
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        packed_.fail(std::string("damaged gzip: ") + (stream_.msg ? stream_.msg : "no reason given"));
      }
    }
    return size - stream_.avail_out;
  }

 private:
  Packed packed_;
  z_stream stream_{};
  bool inside_ = true;
};

class Unzstd : public ByteSource {
 public:
  Unzstd(ByteSource& file, const std::string& path) : packed_(file, path), stream_(ZSTD_createDStream()) {
    if (!stream_) throw std::bad_alloc();
  }

  size_t read(char* data, size_t size) override {
    ZSTD_outBuffer out{data, size, 0};
    while (out.pos == 0) {
      // Output that did not fit before comes first; only then are more bytes read.
      if (packed_.empty() && !flushing_ && !packed_.refill()) {
        if (inside_) packed_.fail("the zstd stream ends early; is the file whole?");
        return 0;
      }
      ZSTD_inBuffer in{packed_.data(), packed_.size(), 0};
      const size_t left = ZSTD_decompressStream(stream_.get(), &out, &in);
      packed_.take(in.pos);
      if (ZSTD_isError(left)) packed_.fail(std::string("damaged zstd: ") + ZSTD_getErrorName(left));
      inside_ = left != 0;
      flushing_ = inside_ && out.pos == out.size;
    }
    return out.pos;
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  Packed packed_;
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  bool inside_ = true, flushing_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> unpacking(std::string_view first_bytes, ByteSource& file, const std::string& path) {
  if (first_bytes.starts_with("\x1f\x8b")) return std::make_unique<Gunzip>(file, path);
  if (first_bytes.starts_with("\x28\xb5\x2f\xfd")) return std::make_unique<Unzstd>(file, path);
  return nullptr;
}

}  // namespace lora
