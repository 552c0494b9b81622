/* martlet_state.h: a part of martlet.h, which includes it where it belongs: states of every kind. */
#ifndef MARTLET_STATE_H
#define MARTLET_STATE_H

typedef enum martlet_state_kind {
  MARTLET_STATE_VALUE = 1,
  MARTLET_STATE_LIST = 2,
  MARTLET_STATE_MAP = 3,
  MARTLET_STATE_REDUCING = 4,    /* one value; martlet_value_* reads it */
  MARTLET_STATE_AGGREGATING = 5, /* one accumulator, kept by the caller with martlet_value_* */
  /* Of a MARTLET_BROADCAST: one map for all keys, read with martlet_map_* anywhere, written (and cleared) in on_right only. Has no TTL. */
  MARTLET_STATE_BROADCAST = 6
} martlet_state_kind;

typedef enum martlet_reducer {
  MARTLET_REDUCE_CUSTOM = 0, /* the caller gets, reduces and sets with martlet_value_* */
  MARTLET_REDUCE_SUM = 1,    /* integers (overflow is MARTLET_VALUE_RANGE) and floats */
  MARTLET_REDUCE_MIN = 2,    /* the first of the smallest: text and bytes byte by byte; a NaN replaces nothing */
  MARTLET_REDUCE_MAX = 3,
  MARTLET_REDUCE_COUNT = 4   /* the format is "l"; the value added is ignored */
} martlet_reducer;

typedef enum martlet_ttl_flags {
  MARTLET_TTL_EVENT_TIME = 1,        /* now is the watermark; otherwise the clock */
  MARTLET_TTL_REFRESH_ON_READ = 2,   /* a read makes a value as new as a write does */
  MARTLET_TTL_SHOW_UNTIL_CLEANED = 4 /* what has expired can be read until it is cleaned away */
} martlet_ttl_flags;

typedef struct martlet_state_spec {
  uint32_t struct_size;
  int32_t kind;          /* martlet_state_kind */
  const char *name;
  const char *format;    /* Arrow format string of the typed slot, for instance "l", "g", "u"; NULL: encoded bytes, see docs/design/values.md */
  const char *key_format;/* maps: Arrow format of the keys, no float; NULL: encoded bytes, ordered byte by byte */
  int32_t reducer;       /* martlet_reducer, of a reducing state */
  int32_t ttl_flags;     /* martlet_ttl_flags */
  int64_t ttl_ms;        /* per value, element or entry: expired iff last + ttl_ms <= now; 0: never */
} martlet_state_spec;

/* The state declared at `index` of the operator's specs; borrowed, valid from open to close. */
martlet_state *martlet_context_state(martlet_context *call, int64_t index);

/* A value state of the current key. Which functions fit is decided by the format: integers, bool, dates and times use int64
 * (range-checked on set), floats double, the rest bytes. Getting what is absent gives `*present` 0. */
int32_t martlet_value_get_int64(martlet_state *state, int64_t *value, int32_t *present, martlet_error *error);
int32_t martlet_value_set_int64(martlet_state *state, int64_t value, martlet_error *error);
int32_t martlet_value_set_uint64(martlet_state *state, uint64_t value, martlet_error *error); /* reading gives the bits */
int32_t martlet_value_get_double(martlet_state *state, double *value, int32_t *present, martlet_error *error);
int32_t martlet_value_set_double(martlet_state *state, double value, martlet_error *error);
/* `*bytes` is borrowed until the next write to this state or the end of the callback. */
int32_t martlet_value_get_bytes(martlet_state *state, const uint8_t **bytes, size_t *length, int32_t *present, martlet_error *error);
int32_t martlet_value_set_bytes(martlet_state *state, const void *bytes, size_t length, martlet_error *error);
/* Of every kind of state: whether it holds something, and forgetting it. */
int32_t martlet_value_exists(martlet_state *state, int32_t *present, martlet_error *error);
int32_t martlet_value_clear(martlet_state *state, martlet_error *error);

/* An element, key or value of the states below. Which field counts is decided by the format: `integer` for integers (a uint64
 * as its bits), bool, dates and times, `real` for floats, `bytes` for the rest. */
typedef struct martlet_value {
  int64_t integer;
  double real;
  const uint8_t *bytes;
  size_t length;
} martlet_value;

/* A list state of the current key. `extend` and `set` do all or, if one element does not fit, nothing. */
int32_t martlet_list_add(martlet_state *state, const martlet_value *value, martlet_error *error);
int32_t martlet_list_extend(martlet_state *state, const martlet_value *values, int64_t n, martlet_error *error);
int32_t martlet_list_set(martlet_state *state, const martlet_value *values, int64_t n, martlet_error *error);
int32_t martlet_list_len(martlet_state *state, int64_t *length, martlet_error *error);
/* Given the elements in order, each borrowed for its call; another status than 0 ends the visit with MARTLET_CALLBACK_FAILED.
 * Any use of the state meanwhile is MARTLET_BUSY. */
typedef int32_t (*martlet_element_visitor)(void *context, const martlet_value *element);
int32_t martlet_list_visit(martlet_state *state, martlet_element_visitor visit, void *context, martlet_error *error);

/* A map state of the current key. `get` fills `*value` (bytes are borrowed until the next write to this state) if `*present`. */
int32_t martlet_map_put(martlet_state *state, const martlet_value *key, const martlet_value *value, martlet_error *error);
int32_t martlet_map_get(martlet_state *state, const martlet_value *key, martlet_value *value, int32_t *present, martlet_error *error);
int32_t martlet_map_contains(martlet_state *state, const martlet_value *key, int32_t *present, martlet_error *error);
int32_t martlet_map_remove(martlet_state *state, const martlet_value *key, int32_t *removed, martlet_error *error);
int32_t martlet_map_len(martlet_state *state, int64_t *length, martlet_error *error);
/* Given the entries from `low` (included) to `high` (not included) in key order, either NULL for an open end; as for a list. */
typedef int32_t (*martlet_entry_visitor)(void *context, const martlet_value *key, const martlet_value *value);
int32_t martlet_map_visit(martlet_state *state, const martlet_value *low, const martlet_value *high, martlet_entry_visitor visit, void *context, martlet_error *error);

/* A state with a TTL, of any kind, as it is stored: for whoever keeps it elsewhere. `stored_visit` gives the value, the elements or the
 * entries with the time each counts from (`key` is NULL but for maps), expired or not, and makes nothing newer; otherwise as for a list.
 * `stored_put` sets the value, appends an element or puts an entry that counts from `stamp`. MARTLET_INVALID_ARGUMENT without a TTL. */
typedef int32_t (*martlet_stored_visitor)(void *context, const martlet_value *key, const martlet_value *value, int64_t stamp);
int32_t martlet_stored_visit(martlet_state *state, martlet_stored_visitor visit, void *context, martlet_error *error);
int32_t martlet_stored_put(martlet_state *state, const martlet_value *key, const martlet_value *value, int64_t stamp, martlet_error *error);

/* In on_right of a MARTLET_BROADCAST: calls `apply` for every key for which the state declared at `state` holds something, in the order
 * of key bytes, with the key current: its states can be read and written and output emitted; timers cannot be used. A key that
 * an earlier call of `apply` has emptied is left out. */
typedef int32_t (*martlet_key_visitor)(void *context, martlet_context *call, martlet_error *error);
int32_t martlet_apply_to_keyed_state(martlet_context *call, int64_t state, martlet_key_visitor apply, void *context, martlet_error *error);

/* A reducing state with a reducer of the engine. `merge` folds in what another such state has: a count adds it up. */
int32_t martlet_reduce_add(martlet_state *state, const martlet_value *value, martlet_error *error);
int32_t martlet_reduce_merge(martlet_state *state, const martlet_value *value, martlet_error *error);

#endif
