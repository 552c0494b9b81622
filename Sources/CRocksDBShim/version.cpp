#include "martlet_rocksdb.h"

#include <rocksdb/version.h>

#include <string>

const char *martlet_internal_rocksdb_version(void) {
  static const std::string version = ROCKSDB_NAMESPACE::GetRocksVersionAsString(true);
  return version.c_str();
}
