#ifndef MARTLET_ROCKSDB_H
#define MARTLET_ROCKSDB_H

/* What RocksDB's C interface lacks, through the C++ one. */

#include <rocksdb/c.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the RocksDB library that this process runs with, "7.8.3": static. */
const char *martlet_internal_rocksdb_version(void);

/*
 * rocksdb_sstfilewriter_create, but what the writer has written stays in the page cache. That of the C interface asks the system to drop
 * it, so that to take the table in, and the first lookups, read it from the disk.
 */
rocksdb_sstfilewriter_t *martlet_internal_sstfilewriter_create(const rocksdb_envoptions_t *environment,
                                                               const rocksdb_options_t *options);

#ifdef __cplusplus
}
#endif

#endif
