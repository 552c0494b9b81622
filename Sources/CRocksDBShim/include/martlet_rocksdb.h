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

/*
 * The files of one store, which a write that fails does no harm to.
 *
 * Debian builds RocksDB with assertions, of which one, in writable_file_writer.h, ends the process after a write to a file that failed: a
 * full disk. So RocksDB is not told of it. Instead, from the first such failure on, nothing on the disk is changed any more, and it is as
 * a crash at that moment would have left it; what RocksDB says and does then counts for nothing, and whoever uses the store
 * asks for the failure after every call.
 */
typedef struct martlet_internal_files martlet_internal_files;

/* Called before every change of a file or folder: not 0 if it is to fail. For tests. */
typedef int (*martlet_internal_fault)(void);

/*
 * `unsynced`: the folder of a store of which only copies outlive a crash: nothing but its tables, which copies share, is waited for to be on
 * the disk. NULL if there is none. (Of 36 waits in a job of one record that leaves 15, and of its 9.5 ms 6.5.)
 */
martlet_internal_files *martlet_internal_files_create(martlet_internal_fault fault, const char *unsynced);

/* After everything that was opened with them is closed, and the options are gone. */
void martlet_internal_files_destroy(martlet_internal_files *files);

/* Has stores that are opened, and tables that are written, with the options do it in these files. */
void martlet_internal_files_use(martlet_internal_files *files, rocksdb_options_t *options);

/* What RocksDB would have said of the first failure, as its C interface says it: as long as the files are there. NULL: none failed. */
const char *martlet_internal_files_failure(const martlet_internal_files *files);

/* Values that were looked up: small ones are copied, large ones stay where RocksDB has them. */
typedef struct martlet_internal_values martlet_internal_values;

/*
 * Looks up the keys from `first` to before `last`, of which number i is `bytes` from ends[i - 1], or 0, to ends[i]. Their values come at the
 * same places of `values` and `sizes`, NULL where there is none, and stay as long as what is returned. The first error that there is comes
 * as from the C interface.
 *
 * rocksdb_batched_multi_get_cf makes an object of 120 bytes for every value, and of more than 32 keys RocksDB has its notes on the heap,
 * touched again when all are done. A random update of 10 M keys of which a quarter are in memory took 1.33 us with it, 1.25 so by 32 keys
 * a call, and takes 1.20 without those objects.
 */
martlet_internal_values *martlet_internal_multi_get(rocksdb_t *database, const rocksdb_readoptions_t *options,
                                                    rocksdb_column_family_handle_t *family, const char *bytes,
                                                    const size_t *ends, size_t first, size_t last, const char **values,
                                                    size_t *sizes, char **error);

void martlet_internal_values_destroy(martlet_internal_values *values);

#ifdef __cplusplus
}
#endif

#endif
