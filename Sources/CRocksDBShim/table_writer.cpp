#include "martlet_rocksdb.h"

#include <rocksdb/sst_file_writer.h>

// The structures of the C interface, as db/c.cc of every RocksDB since 5.0 has them.
struct rocksdb_options_t {
  ROCKSDB_NAMESPACE::Options rep;
};
struct rocksdb_envoptions_t {
  ROCKSDB_NAMESPACE::EnvOptions rep;
};
struct rocksdb_sstfilewriter_t {
  ROCKSDB_NAMESPACE::SstFileWriter *rep;
};

rocksdb_sstfilewriter_t *martlet_internal_sstfilewriter_create(const rocksdb_envoptions_t *environment,
                                                               const rocksdb_options_t *options) {
  return new rocksdb_sstfilewriter_t{
      new ROCKSDB_NAMESPACE::SstFileWriter(environment->rep, options->rep, nullptr, /*invalidate_page_cache=*/false)};
}
