/* The C interface of RocksDB, from the system (Debian: librocksdb-dev). */
#include <rocksdb/c.h>
