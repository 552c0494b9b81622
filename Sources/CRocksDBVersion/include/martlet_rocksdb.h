#ifndef MARTLET_ROCKSDB_H
#define MARTLET_ROCKSDB_H

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the RocksDB library that this process runs with, "7.8.3": static. Its C interface does not tell. */
const char *martlet_internal_rocksdb_version(void);

#ifdef __cplusplus
}
#endif

#endif
