/* The loop that a careful C programmer would write for a running count per key: the peer of the Swift counter.
 *
 * One record in gives one row out: the key, copied, and how many records of that key there were so far. The table is open
 * addressing with linear probing, grows by doubling, and is at most half full. Records are taken in blocks: hash all keys
 * of a block and prefetch their slots, then count. Without that, a table that is larger than the cache costs one miss a record.
 *
 * Each function returns the number of distinct keys, or -1 when there is no memory. The caller owns every buffer. */
#ifndef COUNTER_LOOP_H
#define COUNTER_LOOP_H

#include <stdint.h>

/* `keys`, `out_keys` and `out_counts` have `length` elements. */
int64_t counter_loop_int64(const int64_t *keys, int64_t length, int64_t *out_keys, int64_t *out_counts);

/* Arrow utf8: `offsets` and `out_offsets` have `length + 1` elements, `out_bytes` room for all bytes of the input. The
 * table refers to the input's bytes and does not copy its keys, as it does not outlive them. */
int64_t counter_loop_utf8(const int32_t *offsets, const uint8_t *bytes, int64_t length, int32_t *out_offsets,
                          uint8_t *out_bytes, int64_t *out_counts);

#endif /* COUNTER_LOOP_H */
