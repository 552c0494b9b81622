/* Counts every allocation of the process by standing in front of malloc and its relatives (glibc): the way to show that a
 * loop allocates nothing per record. Linked into the benchmark executable only. */
#ifndef ALLOCATION_COUNT_H
#define ALLOCATION_COUNT_H

#include <stdint.h>

/* Calls of malloc, calloc, realloc, aligned_alloc and posix_memalign so far, of all threads. */
int64_t allocation_count(void);

/* Bytes of the heap in use now, those in memory maps included. */
int64_t allocation_bytes_in_use(void);

#endif /* ALLOCATION_COUNT_H */
