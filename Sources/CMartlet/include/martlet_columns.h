/* martlet_columns.h: the columns of a batch as the engine resolves them. Part of martlet.h, which includes it. */
#ifndef MARTLET_COLUMNS_H
#define MARTLET_COLUMNS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The Arrow types as the engine sees them. The number is stable. */
typedef enum martlet_type {
  MARTLET_TYPE_NULL = 0,
  MARTLET_TYPE_BOOL = 1,
  MARTLET_TYPE_INT8 = 2,
  MARTLET_TYPE_INT16 = 3,
  MARTLET_TYPE_INT32 = 4,
  MARTLET_TYPE_INT64 = 5,
  MARTLET_TYPE_UINT8 = 6,
  MARTLET_TYPE_UINT16 = 7,
  MARTLET_TYPE_UINT32 = 8,
  MARTLET_TYPE_UINT64 = 9,
  MARTLET_TYPE_FLOAT16 = 10,
  MARTLET_TYPE_FLOAT32 = 11,
  MARTLET_TYPE_FLOAT64 = 12,
  MARTLET_TYPE_UTF8 = 13,         /* int32 offsets in `values`, bytes in `data` */
  MARTLET_TYPE_LARGE_UTF8 = 14,   /* int64 offsets */
  MARTLET_TYPE_UTF8_VIEW = 15,    /* 16-byte views in `values`, buffers in `variadic` */
  MARTLET_TYPE_BINARY = 16,
  MARTLET_TYPE_LARGE_BINARY = 17,
  MARTLET_TYPE_BINARY_VIEW = 18,
  MARTLET_TYPE_FIXED_BINARY = 19, /* `width` bytes each */
  MARTLET_TYPE_DATE32 = 20,       /* int32 days */
  MARTLET_TYPE_DATE64 = 21,       /* int64 milliseconds */
  MARTLET_TYPE_TIME32 = 22,       /* int32, `unit` s or ms */
  MARTLET_TYPE_TIME64 = 23,       /* int64, `unit` us or ns */
  MARTLET_TYPE_TIMESTAMP = 24,    /* int64, `unit`, `timezone` */
  MARTLET_TYPE_DURATION = 25,     /* int64, `unit` */
  MARTLET_TYPE_INTERVAL_MONTHS = 26,
  MARTLET_TYPE_INTERVAL_DAY_TIME = 27,
  MARTLET_TYPE_INTERVAL_MONTH_DAY_NANO = 28,
  MARTLET_TYPE_DECIMAL128 = 29,   /* 16 bytes little-endian two's complement, `precision`, `scale` */
  MARTLET_TYPE_DECIMAL256 = 30,
  MARTLET_TYPE_LIST = 31,         /* int32 offsets in `values`, items in children[0] */
  MARTLET_TYPE_LARGE_LIST = 32,
  MARTLET_TYPE_FIXED_LIST = 33,   /* `width` items each */
  MARTLET_TYPE_STRUCT = 34,
  MARTLET_TYPE_MAP = 35           /* a list of struct(key, value) */
} martlet_type;

typedef enum martlet_unit {
  MARTLET_UNIT_NONE = 0,
  MARTLET_UNIT_SECOND = 1,
  MARTLET_UNIT_MILLI = 2,
  MARTLET_UNIT_MICRO = 3,
  MARTLET_UNIT_NANO = 4
} martlet_unit;

/* One column with its buffers resolved. Row r of the column lies at element `offset + r` of every buffer.
 * A dictionary-encoded column has the index type in `type` and `dictionary` set. Borrowed from its batch. */
typedef struct martlet_column {
  int32_t type;           /* martlet_type */
  int32_t unit;           /* martlet_unit */
  int32_t width;          /* bytes of an element (0 for bool, null, nested, variable width); see the types above */
  int32_t precision;
  int32_t scale;
  int32_t nullable;
  const char *name;
  const char *format;     /* Arrow format string */
  const char *type_name;  /* for messages: "timestamp[ms, UTC]", "dictionary<int32, utf8>" */
  const char *timezone;   /* NULL when the timestamp is naive */
  int64_t length;
  int64_t offset;
  int64_t null_count;     /* exact */
  const uint8_t *validity;/* bit set: not null; NULL: nothing is null */
  const void *values;     /* elements, offsets, views, or bits for bool; never NULL where the type has them and length > 0 */
  const uint8_t *data;    /* bytes of utf8/binary; NULL otherwise */
  const uint8_t *const *variadic; /* data buffers of the view types */
  int64_t n_variadic;
  const struct martlet_column *children;
  int64_t n_children;
  const struct martlet_column *dictionary;
} martlet_column;

#ifdef __cplusplus
}
#endif
#endif /* MARTLET_COLUMNS_H */
