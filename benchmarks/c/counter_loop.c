#include "counter_loop.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 32, FIRST_CAPACITY = 1024 };

/* Fibonacci hashing spreads by the high bits of the product; folding them in makes the low bits usable with a mask. */
static inline uint64_t mix(uint64_t value) {
  value *= UINT64_C(0x9E3779B97F4A7C15);
  return value ^ (value >> 32);
}

/* ---- integer keys ------------------------------------------------------------------------------ */

typedef struct int_slot {
  int64_t key;
  int64_t count; /* 0: empty */
} int_slot;

typedef struct int_table {
  int_slot *slots;
  uint64_t mask;
  int64_t used;
} int_table;

static inline int_slot *int_find(const int_table *table, int64_t key, uint64_t hash) {
  uint64_t index = hash & table->mask;
  while (table->slots[index].count != 0 && table->slots[index].key != key) index = (index + 1) & table->mask;
  return &table->slots[index];
}

static int int_grow(int_table *table) {
  int_table bigger = {.mask = table->mask * 2 + 1, .used = table->used};
  bigger.slots = calloc(bigger.mask + 1, sizeof *bigger.slots);
  if (bigger.slots == NULL) return -1;
  for (uint64_t index = 0; index <= table->mask; index++) {
    const int_slot *slot = &table->slots[index];
    if (slot->count != 0) *int_find(&bigger, slot->key, mix((uint64_t)slot->key)) = *slot;
  }
  free(table->slots);
  *table = bigger;
  return 0;
}

/* Counts `length` records, the first of them number `first`; the caller has room for their output. 0, or -1 without memory. */
static inline int int_count(int_table *table, const int64_t *keys, int64_t length, int64_t first, int64_t *out_keys,
                            int64_t *out_counts, int32_t *references) {
  for (int64_t start = 0; start < length; start += BLOCK) {
    int64_t rows = length - start < BLOCK ? length - start : BLOCK;
    uint64_t hashes[BLOCK];
    /* Room for a block of new keys, so that the loop over its records need not ask. */
    while ((uint64_t)(table->used + BLOCK) * 2 > table->mask) {
      if (int_grow(table) != 0) return -1;
    }
    for (int64_t row = 0; row < rows; row++) {
      hashes[row] = mix((uint64_t)keys[start + row]);
      __builtin_prefetch(&table->slots[hashes[row] & table->mask], 1);
    }
    for (int64_t row = 0; row < rows; row++) {
      int64_t key = keys[start + row];
      int_slot *slot = int_find(table, key, hashes[row]);
      table->used += slot->count == 0;
      slot->key = key;
      slot->count++;
      if (references != NULL) {
        references[start + row] = (int32_t)(first + start + row);
      } else {
        out_keys[start + row] = key;
        out_counts[start + row] = slot->count;
      }
    }
  }
  return 0;
}

int64_t counter_loop_int64(const int64_t *keys, int64_t length, int64_t batch_rows, int by_reference, counter_sink sink,
                           void *context) {
  int_table table = {.slots = calloc(FIRST_CAPACITY, sizeof(int_slot)), .mask = FIRST_CAPACITY - 1};
  int failed = table.slots == NULL;
  for (int64_t start = 0; start < length && !failed; start += batch_rows) {
    int64_t rows = length - start < batch_rows ? length - start : batch_rows;
    int64_t *out_keys = NULL, *out_counts = NULL;
    int32_t *references = NULL;
    /* Twice the call, so that the compiler makes a loop of its own for each form of output. */
    if (by_reference) {
      references = malloc((size_t)rows * sizeof *references);
      failed = references == NULL || int_count(&table, keys + start, rows, start, NULL, NULL, references) != 0;
    } else {
      out_keys = malloc((size_t)rows * sizeof *out_keys);
      out_counts = malloc((size_t)rows * sizeof *out_counts);
      failed = out_keys == NULL || out_counts == NULL ||
               int_count(&table, keys + start, rows, start, out_keys, out_counts, NULL) != 0;
    }
    counter_batch batch = {.rows = rows, .keys = out_keys, .counts = out_counts, .references = references};
    if (!failed) sink(context, &batch);
    free(out_keys);
    free(out_counts);
    free(references);
  }
  free(table.slots);
  return failed ? -1 : table.used;
}

/* ---- string keys ------------------------------------------------------------------------------- */

typedef struct text_slot {
  const uint8_t *bytes;
  uint32_t length;
  uint32_t tag; /* high half of the hash: spares most comparisons of different keys */
  int64_t count;
} text_slot;

typedef struct text_table {
  text_slot *slots;
  uint64_t mask;
  int64_t used;
} text_table;

static inline uint64_t load(const uint8_t *bytes, size_t length) {
  uint64_t word = 0;
  memcpy(&word, bytes, length);
  return word;
}

/* Words of 8 bytes, folded with a 128-bit product (the step of wyhash); the last word overlaps the one before it. */
static inline uint64_t fold(uint64_t a, uint64_t b) {
  __uint128_t product = (__uint128_t)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t text_hash(const uint8_t *bytes, uint32_t length) {
  const uint64_t first = UINT64_C(0xA0761D6478BD642F), second = UINT64_C(0xE7037ED1A0B428DB);
  uint64_t hash = first ^ length, last;
  if (length >= 8) {
    for (uint32_t at = 0; at + 8 < length; at += 8) hash = fold(hash ^ load(bytes + at, 8), second);
    last = load(bytes + length - 8, 8);
  } else if (length >= 4) {
    last = load(bytes, 4) << 32 | load(bytes + length - 4, 4);
  } else if (length > 0) {
    last = (uint64_t)bytes[0] << 16 | (uint64_t)bytes[length / 2] << 8 | bytes[length - 1];
  } else {
    last = 0;
  }
  return fold(hash ^ last, second);
}

static inline int text_equal(const uint8_t *a, const uint8_t *b, uint32_t length) {
  if (length >= 8) {
    for (uint32_t at = 0; at + 8 < length; at += 8) {
      if (load(a + at, 8) != load(b + at, 8)) return 0;
    }
    return load(a + length - 8, 8) == load(b + length - 8, 8);
  }
  if (length >= 4) return load(a, 4) == load(b, 4) && load(a + length - 4, 4) == load(b + length - 4, 4);
  for (uint32_t at = 0; at < length; at++) {
    if (a[at] != b[at]) return 0;
  }
  return 1;
}

static inline text_slot *text_find(const text_table *table, const uint8_t *bytes, uint32_t length, uint64_t hash) {
  uint32_t tag = (uint32_t)(hash >> 32);
  for (uint64_t index = hash & table->mask;; index = (index + 1) & table->mask) {
    text_slot *slot = &table->slots[index];
    if (slot->count == 0) return slot;
    if (slot->tag == tag && slot->length == length && text_equal(slot->bytes, bytes, length)) return slot;
  }
}

static int text_grow(text_table *table) {
  text_table bigger = {.mask = table->mask * 2 + 1, .used = table->used};
  bigger.slots = calloc(bigger.mask + 1, sizeof *bigger.slots);
  if (bigger.slots == NULL) return -1;
  for (uint64_t index = 0; index <= table->mask; index++) {
    const text_slot *slot = &table->slots[index];
    if (slot->count == 0) continue;
    uint64_t at = text_hash(slot->bytes, slot->length) & bigger.mask;
    while (bigger.slots[at].count != 0) at = (at + 1) & bigger.mask; /* the keys are known to differ */
    bigger.slots[at] = *slot;
  }
  free(table->slots);
  *table = bigger;
  return 0;
}

/* As `int_count`. */
static inline int text_count(text_table *table, const int32_t *offsets, const uint8_t *bytes, int64_t length,
                             int64_t first, int64_t *out_counts, int32_t *references) {
  for (int64_t start = 0; start < length; start += BLOCK) {
    int64_t rows = length - start < BLOCK ? length - start : BLOCK;
    uint64_t hashes[BLOCK];
    while ((uint64_t)(table->used + BLOCK) * 2 > table->mask) {
      if (text_grow(table) != 0) return -1;
    }
    for (int64_t row = 0; row < rows; row++) {
      const int32_t *at = &offsets[start + row];
      hashes[row] = text_hash(bytes + at[0], (uint32_t)(at[1] - at[0]));
      __builtin_prefetch(&table->slots[hashes[row] & table->mask], 1);
    }
    for (int64_t row = 0; row < rows; row++) {
      const int32_t *at = &offsets[start + row];
      uint32_t size = (uint32_t)(at[1] - at[0]);
      text_slot *slot = text_find(table, bytes + at[0], size, hashes[row]);
      if (slot->count == 0) {
        *slot = (text_slot){.bytes = bytes + at[0], .length = size, .tag = (uint32_t)(hashes[row] >> 32)};
        table->used++;
      }
      slot->count++;
      if (references != NULL) {
        references[start + row] = (int32_t)(first + start + row);
      } else {
        out_counts[start + row] = slot->count;
      }
    }
  }
  return 0;
}

int64_t counter_loop_utf8(const int32_t *offsets, const uint8_t *bytes, int64_t length, int64_t batch_rows,
                          int by_reference, counter_sink sink, void *context) {
  text_table table = {.slots = calloc(FIRST_CAPACITY, sizeof(text_slot)), .mask = FIRST_CAPACITY - 1};
  int failed = table.slots == NULL;
  for (int64_t start = 0; start < length && !failed; start += batch_rows) {
    int64_t rows = length - start < batch_rows ? length - start : batch_rows;
    int32_t *out_offsets = NULL, *references = NULL;
    int64_t *out_counts = NULL;
    uint8_t *out_bytes = NULL;
    if (by_reference) {
      references = malloc((size_t)rows * sizeof *references);
      failed = references == NULL || text_count(&table, offsets + start, bytes, rows, start, NULL, references) != 0;
    } else {
      /* Every record gives one row, so the key column of the output is the input's. */
      int32_t from = offsets[start];
      size_t size = (size_t)(offsets[start + rows] - from);
      out_offsets = malloc(((size_t)rows + 1) * sizeof *out_offsets);
      out_bytes = malloc(size + 1);
      out_counts = malloc((size_t)rows * sizeof *out_counts);
      failed = out_offsets == NULL || out_bytes == NULL || out_counts == NULL ||
               text_count(&table, offsets + start, bytes, rows, start, out_counts, NULL) != 0;
      if (!failed) {
        for (int64_t row = 0; row <= rows; row++) out_offsets[row] = offsets[start + row] - from;
        memcpy(out_bytes, bytes + from, size);
      }
    }
    counter_batch batch = {
        .rows = rows, .offsets = out_offsets, .bytes = out_bytes, .counts = out_counts, .references = references};
    if (!failed) sink(context, &batch);
    free(out_offsets);
    free(out_bytes);
    free(out_counts);
    free(references);
  }
  free(table.slots);
  return failed ? -1 : table.used;
}
