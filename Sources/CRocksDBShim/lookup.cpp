#include "martlet_rocksdb.h"

#include <rocksdb/db.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <list>
#include <memory>
#include <string>
#include <vector>

using namespace ROCKSDB_NAMESPACE;

// As in table_writer.cpp.
struct rocksdb_t {
  DB *rep;
};
struct rocksdb_column_family_handle_t {
  ColumnFamilyHandle *rep;
};
struct rocksdb_readoptions_t {
  ReadOptions rep;
};

struct martlet_internal_values {
  // Makes a value stay, whose slice is used again.
  Slice keep(PinnableSlice &value) {
    if (value.size() > kLargestCopied) {
      large_.emplace_back(std::move(value));
      return large_.back();
    }
    // An empty one is not NULL.
    if (!next_ || value.size() > left_) {
      blocks_.emplace_back(new char[kBlock]);
      next_ = blocks_.back().get();
      left_ = kBlock;
    }
    char *copy = next_;
    std::memcpy(copy, value.data(), value.size());
    next_ += value.size();
    left_ -= value.size();
    return Slice(copy, value.size());
  }

private:
  static constexpr size_t kBlock = 64 << 10;
  static constexpr size_t kLargestCopied = 1 << 10;

  std::vector<std::unique_ptr<char[]>> blocks_;
  char *next_ = nullptr;
  size_t left_ = 0;
  std::list<PinnableSlice> large_;
};

namespace {

// RocksDB looks for so many at a time. With more in one call, what it notes of each is on the heap.
constexpr size_t kTogether = 32;

bool is_sorted(const Slice *keys, size_t count) {
  for (size_t index = 1; index < count; ++index) {
    if (keys[index - 1].compare(keys[index]) >= 0) return false;
  }
  return true;
}

} // namespace

martlet_internal_values *martlet_internal_multi_get(rocksdb_t *database, const rocksdb_readoptions_t *options,
                                                    rocksdb_column_family_handle_t *family, const char *bytes,
                                                    const size_t *ends, size_t first, size_t last, const char **values,
                                                    size_t *sizes, char **error) {
  auto kept = std::make_unique<martlet_internal_values>();
  std::array<Slice, kTogether> keys;
  std::array<PinnableSlice, kTogether> found;
  std::array<Status, kTogether> statuses;
  size_t start = first == 0 ? 0 : ends[first - 1];
  while (first < last) {
    const size_t count = std::min(last - first, kTogether);
    for (size_t index = 0; index < count; ++index) {
      const size_t end = ends[first + index];
      keys[index] = Slice(bytes + start, end - start);
      start = end;
    }
    database->rep->MultiGet(options->rep, family->rep, count, keys.data(), found.data(), statuses.data(),
                            is_sorted(keys.data(), count));
    for (size_t index = 0; index < count; ++index) {
      const Status &status = statuses[index];
      Slice value(nullptr, 0);
      if (status.ok()) {
        value = kept->keep(found[index]);
      } else if (!status.IsNotFound() && !*error) {
        *error = strdup(status.ToString().c_str());
      }
      values[first + index] = value.data();
      sizes[first + index] = value.size();
      found[index].Reset();
    }
    first += count;
  }
  return kept.release();
}

void martlet_internal_values_destroy(martlet_internal_values *values) { delete values; }
