/* The loop that a careful C programmer would write for a running count per key: the peer of the Swift counter.
 *
 * One record in gives one row out: the key, copied, and how many records of that key there were so far. The table is open
 * addressing with linear probing, grows by doubling, and is at most half full. Records are taken in blocks: hash all keys
 * of a block and prefetch their slots, then count. Without that, a table that is larger than the cache costs one miss a record.
 *
 * The output comes in batches, in buffers that are allocated for each and freed when `sink` has seen it, as the engine's are: both
 * sides pay for new memory, and both find the batch before in the cache.
 *
 * Each function returns the number of distinct keys, or -1 when there is no memory. The input is the caller's. */
#ifndef COUNTER_LOOP_H
#define COUNTER_LOOP_H

#include <stdint.h>

/* A batch of output, lent for the call of the sink. */
typedef struct counter_batch {
  int64_t rows;
  const int64_t *counts; /* NULL where rows are emitted by reference */
  const int64_t *keys;   /* integer keys */
  const int32_t *offsets; /* string keys, Arrow utf8: `rows + 1` offsets, from 0 */
  const uint8_t *bytes;
  const int32_t *references; /* by reference: row numbers of the input, as `emit(record)` leaves them */
} counter_batch;

typedef void (*counter_sink)(void *context, const counter_batch *batch);

/* `keys` has `length` elements. By reference, the output is the numbers of the rows and not their keys and counts. */
int64_t counter_loop_int64(const int64_t *keys, int64_t length, int64_t batch_rows, int by_reference, counter_sink sink,
                           void *context);

/* Arrow utf8: `offsets` has `length + 1` elements. The table refers to the input's bytes and does not copy its keys, as it
 * does not outlive them. */
int64_t counter_loop_utf8(const int32_t *offsets, const uint8_t *bytes, int64_t length, int64_t batch_rows,
                          int by_reference, counter_sink sink, void *context);

#endif /* COUNTER_LOOP_H */
