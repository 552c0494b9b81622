/* martlet.h: the C interface of the Martlet engine, and the contract for every binding.
 *
 * Conventions
 *
 *  1. Errors. A function that can fail returns a martlet_status (0 is MARTLET_OK) and takes, as its
 *     last argument, a caller-owned `martlet_error *` that it fills; NULL is allowed. On failure no out
 *     parameter is written. Nothing here exits, prints or traps on a user's input.
 *  2. Ownership. Every pointer argument is *borrowed* for the call unless its comment says *moved*. Of a
 *     moved Arrow struct the callee takes the content: its `release` is NULL afterwards, also on failure.
 *     Out parameters are *new* (the caller releases them with the function named there) or *borrowed*
 *     (valid as long as the object they came from).
 *  3. Callbacks are function + context + destroy. `destroy` runs exactly once, after the last call, also
 *     when the function that was given the callback fails. A callback reports failure by a non-zero
 *     status: the engine stops, keeps nothing of the failed call's half-built row, and
 *     the outermost function returns MARTLET_CALLBACK_FAILED, with the callback's message, if it wrote
 *     one, and the operator, record number and key in the error.
 *  4. Threads. Batches and schemas are immutable: any thread may read, retain and release them. A job is
 *     used by one thread at a time; its callbacks run on the thread that is inside martlet_job_next or
 *     martlet_job_close (but see martlet_source.next_background). Different jobs are independent: there is no global state.
 *  5. Re-entry. Inside a callback only martlet_batch_*, martlet_error and what takes the callback's
 *     martlet_context (or a state, output or appender of it) may be called for that job; calling
 *     martlet_job_next or martlet_job_close of a running job is MARTLET_BUSY.
 *  6. Strings are UTF-8, NUL-terminated where the type is `const char *`; bytes are pointer + length and
 *     may contain anything.
 *  7. Times are int64 milliseconds since the Unix epoch. MARTLET_NO_TIMESTAMP means "none";
 *     MARTLET_MIN_TIME and MARTLET_MAX_TIME are the first and the last watermark.
 *  8. Versioning. Structs that a caller fills begin with `struct_size`; fields are only ever appended. A
 *     binding compares martlet_abi_version() with the MARTLET_ABI_VERSION it was compiled with before it
 *     calls anything else, and refuses to go on if they differ.
 */
#ifndef MARTLET_H
#define MARTLET_H

#include <stddef.h>
#include <stdint.h>

#include "martlet_arrow.h"
#include "martlet_columns.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MARTLET_ABI_VERSION 2

#define MARTLET_MIN_TIME INT64_MIN
#define MARTLET_MAX_TIME INT64_MAX
#define MARTLET_NO_TIMESTAMP INT64_MIN

/* ---- errors ------------------------------------------------------------------------------------ */

typedef enum martlet_status {
  MARTLET_OK = 0,
  MARTLET_INVALID_ARGUMENT = 1, /* a setting or argument is wrong: fix the call */
  MARTLET_SCHEMA_MISMATCH = 2,  /* a column's type does not fit, or batches differ: fix the input or output */
  MARTLET_KEY_TYPE = 3,         /* a column of this type cannot be a key */
  MARTLET_NULL_KEY = 4,         /* a record has a null key and the policy is to raise */
  MARTLET_NULL_TIMESTAMP = 5,   /* a record has a null timestamp and the policy is to raise */
  MARTLET_STATE_ACCESS = 6,     /* state or timers were used where there is no current key */
  MARTLET_VALUE_RANGE = 7,      /* a value does not fit its type: integer overflow, invalid UTF-8 … */
  MARTLET_TIMER_LOOP = 8,       /* a timer re-registered itself at its own time without end */
  MARTLET_CALLBACK_FAILED = 9,  /* a callback of yours failed; you hold the cause */
  MARTLET_BUSY = 10,            /* the job is running: re-entrant or concurrent use */
  MARTLET_CLOSED = 11,          /* the job was closed or has failed before */
  MARTLET_SOURCE_FAILED = 12,   /* an Arrow stream reported an error */
  MARTLET_UNSUPPORTED_TYPE = 13,/* an Arrow type this engine does not carry */
  MARTLET_INTERNAL = 14,        /* a broken invariant: report a bug */
  MARTLET_CALLBACK_FATAL = 15,  /* returned by a callback only: as MARTLET_CALLBACK_FAILED, and no error policy may swallow it */
  MARTLET_SNAPSHOT_INVALID = 16,/* bytes that are no whole, sound snapshot of a format this version reads */
  MARTLET_SNAPSHOT_MISMATCH = 17,/* the snapshot of a function with other keys or states: declare them as they were */
  MARTLET_MISSING_COLUMN = 18,  /* there is no column of that name; the message lists those there are */
  MARTLET_STORAGE_FAILED = 19,  /* files could not be read or written: see to the disk, then open again */
  MARTLET_STORAGE_IN_USE = 20,  /* another job has the directory open: stop it or choose another directory */
  MARTLET_STORAGE_CORRUPT = 21, /* what is on disk is damaged or incomplete: restore from a checkpoint */
  MARTLET_WORKER_DIED = 22      /* a worker process ended while it was needed: look for what killed it */
} martlet_status;

#define MARTLET_NO_RECORD (-1)

/* Caller-owned. `message` is NUL-terminated and cut at a character boundary when it is too long. */
typedef struct martlet_error {
  int32_t status;
  int64_t record;     /* number of the failing record in its operator's input, from 0, or MARTLET_NO_RECORD */
  char operator_name[128]; /* "" when the error does not belong to an operator */
  char key[256];      /* the current key as text, "" when there is none */
  char message[1600];
} martlet_error;

uint32_t martlet_abi_version(void);
const char *martlet_version(void); /* "0.1.0": static */
const char *martlet_rocksdb_version(void); /* of the library that state on disk is kept with, "7.8.3": static */

/* ---- batches ----------------------------------------------------------------------------------- */

/* An immutable, reference-counted Arrow record batch. */
typedef struct martlet_batch martlet_batch;

/* `array` and `schema` are moved. The schema is a struct type, the array one of its record batches.
 * `*out` is new (martlet_batch_release). Nothing is copied. */
int32_t martlet_batch_import(struct ArrowArray *array, struct ArrowSchema *schema, martlet_batch **out, martlet_error *error);
martlet_batch *martlet_batch_retain(const martlet_batch *batch); /* returns its argument, owned once more */
void martlet_batch_release(martlet_batch *batch);                /* NULL allowed */
int64_t martlet_batch_num_rows(const martlet_batch *batch);
int64_t martlet_batch_num_columns(const martlet_batch *batch);
const martlet_column *martlet_batch_columns(const martlet_batch *batch); /* num_columns of them, borrowed */
/* Rows [offset, offset + length) as Arrow, sharing the buffers. `*out` is new (its own `release`). */
int32_t martlet_batch_export(const martlet_batch *batch, int64_t offset, int64_t length, struct ArrowArray *out, martlet_error *error);
int32_t martlet_batch_export_schema(const martlet_batch *batch, struct ArrowSchema *out, martlet_error *error);
/* One column of those rows. */
int32_t martlet_batch_export_column(const martlet_batch *batch, int64_t column, int64_t offset, int64_t length, struct ArrowArray *out_array, struct ArrowSchema *out_schema, martlet_error *error);

/* ---- builders ---------------------------------------------------------------------------------- */

/* Builds a batch row by row. Not thread-safe. */
typedef struct martlet_builder martlet_builder;
/* Appends the cells of one column; borrowed from its builder or output. A row is complete when every column
 * has one more cell and the row is ended; a row that cannot be completed is cancelled, which takes back the
 * cells it already has. */
typedef struct martlet_appender martlet_appender;

/* `schema` (a struct type) is moved; `*out` is new (martlet_builder_free). */
int32_t martlet_builder_create(struct ArrowSchema *schema, martlet_builder **out, martlet_error *error);
void martlet_builder_free(martlet_builder *builder); /* NULL allowed */
martlet_appender *martlet_builder_appender(martlet_builder *builder, int64_t column); /* borrowed; NULL when out of range */
int64_t martlet_builder_num_rows(const martlet_builder *builder);
int32_t martlet_builder_end_row(martlet_builder *builder, martlet_error *error); /* columns without a cell get a null */
void martlet_builder_cancel_row(martlet_builder *builder);
/* The rows so far as a batch (new); the builder is empty again and can be used on. */
int32_t martlet_builder_finish(martlet_builder *builder, martlet_batch **out, martlet_error *error);

const martlet_column *martlet_appender_field(const martlet_appender *appender); /* type, unit, name …; no buffers */
/* For list, large list, map and fixed-size list: child 0 takes the items. For struct: one child per field. For a
 * dictionary-encoded column append the value itself. */
martlet_appender *martlet_appender_child(martlet_appender *appender, int64_t child);
/* A value that does not fit the column's type is MARTLET_SCHEMA_MISMATCH, out of its range MARTLET_VALUE_RANGE. */
int32_t martlet_append_null(martlet_appender *appender, martlet_error *error);
int32_t martlet_append_bool(martlet_appender *appender, int32_t value, martlet_error *error);
/* Integers of any width (checked), dates, times, timestamps and durations in the column's own unit, and floats when exact. */
int32_t martlet_append_int64(martlet_appender *appender, int64_t value, martlet_error *error);
int32_t martlet_append_uint64(martlet_appender *appender, uint64_t value, martlet_error *error);
int32_t martlet_append_double(martlet_appender *appender, double value, martlet_error *error);
/* utf8 (checked to be valid UTF-8), binary, fixed-size binary, and the raw element of decimals and intervals. */
int32_t martlet_append_bytes(martlet_appender *appender, const void *bytes, size_t length, martlet_error *error);
/* Closes one list, map or struct cell: for lists, what was appended to the child since the last close. */
int32_t martlet_append_end_nested(martlet_appender *appender, martlet_error *error);
/* The cell at `row` of `column`, which has the appender's type. */
int32_t martlet_append_cell(martlet_appender *appender, const martlet_column *column, int64_t row, martlet_error *error);

/* ---- keys -------------------------------------------------------------------------------------- */

typedef enum martlet_key_kind {
  MARTLET_KEY_INTEGER = 0, /* `integer`: int8 … int64, bool, date, timestamp, time, in the column's own unit */
  MARTLET_KEY_UNSIGNED = 1,/* `integer` holds the bits of a uint64 */
  MARTLET_KEY_BYTES = 2,   /* `bytes`: utf8, binary, fixed-size binary */
  MARTLET_KEY_DECIMAL = 3  /* `bytes`: 16 bytes little-endian two's complement, scale in the field */
} martlet_key_kind;

typedef struct martlet_key_part {
  int32_t kind;               /* martlet_key_kind */
  const martlet_column *field;/* the key column's type and name (the value type of a dictionary); no buffers */
  int64_t integer;
  const uint8_t *bytes;
  int64_t length;
} martlet_key_part;

/* ---- clocks ------------------------------------------------------------------------------------ */

/* Processing time that stands still until it is set: for tests, and for runs that must give the same result every time.
 * May be used from any thread. */
typedef struct martlet_clock martlet_clock;

int32_t martlet_clock_create(int64_t start_ms, martlet_clock **out, martlet_error *error); /* new (martlet_clock_free) */
void martlet_clock_free(martlet_clock *clock); /* NULL allowed */
int64_t martlet_clock_now(const martlet_clock *clock);
/* MARTLET_INVALID_ARGUMENT for a time before the one it shows. */
int32_t martlet_clock_advance(martlet_clock *clock, int64_t time_ms, martlet_error *error);

/* ---- process functions ------------------------------------------------------------------------- */

typedef struct martlet_state martlet_state;   /* a state handle; borrowed from the context */
typedef struct martlet_output martlet_output; /* an output of the operator; borrowed from the context */

typedef enum martlet_timer_domain {
  MARTLET_NOT_A_TIMER = 0,
  MARTLET_EVENT_TIME = 1,
  MARTLET_PROCESSING_TIME = 2
} martlet_timer_domain;

/* Which input a call is about. The broadcast side of a broadcast is its right input. */
typedef enum martlet_side {
  MARTLET_NO_SIDE = 0, /* one input only; on_timer, on_end, open, close */
  MARTLET_LEFT = 1,
  MARTLET_RIGHT = 2
} martlet_side;

/* What a callback may read directly, current for that call. One context per operator instance; its address never changes.
 * Written by the engine only. */
typedef struct martlet_context {
  const martlet_batch *batch;     /* on_event: the batch that holds the record; NULL otherwise */
  int64_t row;                    /* on_event: its row in `batch` */
  int64_t record;                 /* on_event: the record's number in the operator's input, from 0 */
  int64_t timestamp;              /* the record's, the timer's time in on_timer for event time; or MARTLET_NO_TIMESTAMP */
  int64_t watermark;
  int64_t fire_time;              /* on_timer */
  int32_t timer_domain;           /* martlet_timer_domain */
  int32_t is_late;                /* on_event: timestamp <= watermark */
  const martlet_key_part *key;    /* `key_parts` of them; one unless the key is composite */
  int64_t key_parts;
  uint32_t slot;                  /* dense number of the current key, MARTLET_NO_SLOT outside of one */
  int32_t instance;
  int32_t parallelism;
  void *engine;                   /* the engine's own */
  const char *timer_name;         /* on_timer: the name it was registered with, NULL for none; valid until close */
  int64_t rows;                   /* on_batch: how many rows of `batch` from `row` on make up the slice; 0 otherwise */
  int32_t side;                   /* martlet_side: where the record of on_event or on_right comes from; `record` counts per input */
} martlet_context;

#define MARTLET_NO_SLOT UINT32_MAX

/* What a callback failed with, for a dead letter. Borrowed until the function's next callback; NULL with length 0: none. */
typedef struct martlet_failure {
  const char *error_type;
  size_t error_type_length;
  const char *message;
  size_t message_length;
  const char *traceback;
  size_t traceback_length;
} martlet_failure;

/* Every callback may be NULL except on_event, which may be NULL when on_batch is not. A status other than 0 stops the job (convention 3). `error` may be
 * filled with a message. batch_begin and batch_end enclose every run of on_event and on_timer calls, on the same thread and
 * balanced, also when one of them fails: the place to take and give back a lock such as Python's. open and close are called
 * outside of them. */
typedef struct martlet_process_function {
  uint32_t struct_size;
  void *context;
  int32_t (*open)(void *context, martlet_context *call, martlet_error *error);
  int32_t (*batch_begin)(void *context, martlet_context *call, const martlet_batch *batch /* NULL: timers only */, martlet_error *error);
  int32_t (*on_event)(void *context, martlet_context *call, martlet_error *error);
  int32_t (*on_timer)(void *context, martlet_context *call, martlet_error *error);
  void (*batch_end)(void *context, martlet_context *call);
  int32_t (*close)(void *context, martlet_context *call, martlet_error *error);
  void (*destroy)(void *context);
  /* Once for every key that has state or timers when the input has ended, in the order of key bytes, after the timers. NULL
   * allowed. */
  int32_t (*on_end)(void *context, martlet_context *call, martlet_error *error);
  /* When it is set records come through it and not through on_event: all consecutive records of one key, rows [row, row + rows)
   * of `batch`, as long as no timer falls due between them and they are all late or all not. `record` is the number of the
   * first; timestamp and watermark are those that on_event would see with the last. */
  int32_t (*on_batch)(void *context, martlet_context *call, martlet_error *error);
  /* A failure of on_event, on_timer or on_batch was swallowed (martlet_error_policy), after everything the call did was taken
   * back; appenders of an output that got its schema in that call are gone. The place to log it. `details` comes zeroed and may
   * be left so: then the message of the failed call is used. */
  void (*on_failure)(void *context, martlet_context *call, martlet_failure *details);
  /* The records of the right input of a MARTLET_CONNECT (NULL: on_event gets those too) and of the broadcast side of a
   * MARTLET_BROADCAST, where it must be set and no key is current. The batch of batch_begin is then that of one side, or NULL. */
  int32_t (*on_right)(void *context, martlet_context *call, martlet_error *error);
  /* Makes the function of a further parallel instance, 1 and up (instance 0 has the one that was added): fills `function`, which is zeroed but
   * for its struct_size, and whose context is moved. Called on the job's thread when the job begins. NULL: a parallelism above 1 is
   * MARTLET_INVALID_ARGUMENT. */
  int32_t (*instantiate)(void *context, int32_t instance, struct martlet_process_function *function, martlet_error *error);
} martlet_process_function;

/* The job's clock now. */
int64_t martlet_processing_time(const martlet_context *call);

/* Event-time timers of the current key. One per key and time: registering it twice fires once. */
int32_t martlet_register_event_time_timer(martlet_context *call, int64_t time_ms, martlet_error *error);
int32_t martlet_delete_event_time_timer(martlet_context *call, int64_t time_ms, martlet_error *error);
/* The same for processing time: on_timer is called once the job's clock has reached the time, also while no input comes. */
int32_t martlet_register_processing_time_timer(martlet_context *call, int64_t time_ms, martlet_error *error);
int32_t martlet_delete_processing_time_timer(martlet_context *call, int64_t time_ms, martlet_error *error);
/* Named timers: one per key and name, in either domain; registering it again moves it. `name` is UTF-8 of `length` bytes, not empty
 * and without a NUL. */
int32_t martlet_register_named_timer(martlet_context *call, int32_t domain /* martlet_timer_domain */, const char *name, size_t length, int64_t time_ms, martlet_error *error);
int32_t martlet_delete_named_timer(martlet_context *call, const char *name, size_t length, martlet_error *error);

typedef struct martlet_timer {
  int32_t domain;   /* martlet_timer_domain */
  int64_t time_ms;
  const char *name; /* NULL for a timer without one; valid until close */
} martlet_timer;

/* The current key's pending timers: event time first, each by time, then in order of registration. Writes at most `capacity` of
 * them to `timers`, and how many there are to `*count`. */
int32_t martlet_timers(martlet_context *call, martlet_timer *timers, int64_t capacity, int64_t *count, martlet_error *error);

/* The current key's pending timer of that name. `*found` is 1 and `*domain` (martlet_timer_domain) and `*time_ms` say when it fires, or
 * `*found` is 0 and the two are left alone. `domain` may be NULL. */
int32_t martlet_named_timer(martlet_context *call, const char *name, size_t length, int32_t *domain, int64_t *time_ms, int32_t *found, martlet_error *error);

/* ---- state: martlet_state.h ---------------------------------------------------------------------- */

#include "martlet_state.h"

/* ---- output ------------------------------------------------------------------------------------ */

/* The main output; borrowed, valid from open to close. */
martlet_output *martlet_context_output(martlet_context *call);
/* Emits row `row` of `batch`, by reference. The output takes the batch's schema if it has none yet. */
int32_t martlet_output_row(martlet_output *output, const martlet_batch *batch, int64_t row, martlet_error *error);
/* A side output, by tag (UTF-8, not empty), with a schema of its own; borrowed, valid from open to close. Made on first use. It
 * is MARTLET_INVALID_ARGUMENT when the engine fills it itself under the job's policies: "late", "errors". */
int32_t martlet_context_side_output(martlet_context *call, const char *tag, martlet_output **out, martlet_error *error);
/* Emits rows [row, row + count) of `batch`, by reference. Rows of the current slice (on_batch) carry their own timestamps. */
int32_t martlet_output_rows(martlet_output *output, const martlet_batch *batch, int64_t row, int64_t count, martlet_error *error);
/* Emits a whole batch. */
int32_t martlet_output_batch(martlet_output *output, const martlet_batch *batch, martlet_error *error);
/* Gives an output without a schema its schema (moved). */
int32_t martlet_output_declare(martlet_output *output, struct ArrowSchema *schema, martlet_error *error);
/* -1 while the output has no schema. */
int64_t martlet_output_num_columns(const martlet_output *output);
/* Built rows: append one cell to each column, then end or cancel the row. Columns without a cell get a null.
 * Appenders are borrowed and stay valid from the declaration to close. */
martlet_appender *martlet_output_appender(martlet_output *output, int64_t column);
int32_t martlet_output_end_row(martlet_output *output, martlet_error *error);
void martlet_output_cancel_row(martlet_output *output);

/* ---- jobs -------------------------------------------------------------------------------------- */
typedef struct martlet_job martlet_job;
#include "martlet_source.h"

typedef enum martlet_null_policy {
  MARTLET_NULLS_RAISE = 0,
  MARTLET_NULLS_DROP = 1,   /* counted in the report */
  MARTLET_NULLS_PROCESS = 2, /* timestamps only: the record has no timestamp and does not move the watermark */
  MARTLET_NULLS_DEAD_LETTER = 3 /* dropped, counted, and sent to the side output "errors" */
} martlet_null_policy;

/* What becomes of processing-time timers that are pending when the input ends. (Event-time timers always fire.) */
typedef enum martlet_timers_at_end {
  MARTLET_TIMERS_FIRE = 0, /* in order of time; martlet_processing_time then shows the time of each */
  MARTLET_TIMERS_DROP = 1,
  MARTLET_TIMERS_KEEP = 2  /* they stay pending, and are counted in the report */
} martlet_timers_at_end;
typedef enum martlet_late_policy {
  MARTLET_LATE_PROCESS = 0,
  MARTLET_LATE_DROP = 1,
  MARTLET_LATE_SIDE_OUTPUT = 2 /* sent as they are, with their timestamps, to the side output "late" */
} martlet_late_policy;

typedef enum martlet_error_policy {
  MARTLET_ERRORS_RAISE = 0,
  MARTLET_ERRORS_SKIP = 1,       /* what the failed call did to state, timers and outputs is taken back */
  MARTLET_ERRORS_DEAD_LETTER = 2 /* the same, and a row for each record of the call to the side output "errors" */
} martlet_error_policy;

/* A side output with a declared schema. */
typedef struct martlet_side_output {
  const char *tag;
  struct ArrowSchema *schema; /* moved */
} martlet_side_output;

/* What feeds a function. */
typedef struct martlet_input {
  int64_t source;  /* number of a source, from 0 in the order they were added, or -1 */
  int64_t process; /* with source -1: number of a function, from 1 */
  const char *tag; /* of a function: NULL for its main output, otherwise the side output of this tag */
} martlet_input;

typedef enum martlet_operator_kind {
  MARTLET_PROCESS = 0,  /* one input */
  MARTLET_CONNECT = 1,  /* two inputs with keys of one type, which share state and timers */
  MARTLET_BROADCAST = 2 /* left: records, keyed or not; right: records that every instance is given, by on_right */
} martlet_operator_kind;

typedef struct martlet_process_options {
  uint32_t struct_size;
  const char *name;
  const char *const *key_columns;
  int64_t n_key_columns;
  const martlet_state_spec *states;
  int64_t n_states;
  struct ArrowSchema *output_schema; /* moved; NULL: inferred from the first emission */
  const martlet_side_output *side_outputs; /* those whose schema is declared; others are inferred from their first row */
  int64_t n_side_outputs;
  int64_t input;         /* 0: the function is applied to the one added last, or to the job's input; n: to that added as number n, from 1 */
  const char *input_tag; /* NULL: to its main output; otherwise to its side output of this tag */
  int32_t kind;          /* martlet_operator_kind */
  /* MARTLET_PROCESS: none (then `input` and `input_tag` count) or one; the others: two, left and right. */
  const martlet_input *inputs;
  int64_t n_inputs;
  const char *const *right_key_columns; /* MARTLET_CONNECT: as many as key_columns, which are those of the left input */
  int64_t n_right_key_columns;          /* MARTLET_BROADCAST: 0; n_key_columns may be 0, too: no key, no keyed state, no timers */
} martlet_process_options;

typedef struct martlet_job_options {
  uint32_t struct_size;
  const char *name;
  int32_t null_keys;       /* martlet_null_policy */
  int32_t null_timestamps; /* martlet_null_policy */
  martlet_clock *clock;    /* borrowed until the job is freed; NULL: the system's clock */
  int32_t timers_at_end;   /* martlet_timers_at_end */
  /* Called on the job's thread at least every 50 ms while it waits for a source that is read in the background; a status other
   * than 0 stops the job (convention 3). NULL allowed. */
  int32_t (*poll)(void *context, martlet_error *error);
  void *poll_context;      /* borrowed until the job is freed */
  int32_t on_error;        /* martlet_error_policy */
  int32_t late;            /* martlet_late_policy */
  /* Instances of every function, each with its own share of the keys (martlet_key_group); the output is that of one, in the same
   * order. 0: 1. With more, every instance is called on a thread of its own, one call at a time; open, close and destroy included but for
   * destroy, which comes on the thread that frees the job. */
  int32_t parallelism;
  int32_t max_parallelism; /* key groups, from `parallelism` to 32768; 0: 128 */
} martlet_job_options;

typedef struct martlet_report {
  uint32_t struct_size;
  int64_t records_in;
  int64_t records_out;
  int64_t batches_in;
  int64_t batches_out;
  int64_t null_keys;        /* records dropped for a null key */
  int64_t null_timestamps;  /* records with a null timestamp that were dropped, or delivered without one */
  int64_t late;             /* records at or behind the watermark, whatever became of them */
  int64_t timers_fired;
  int64_t timers_pending;
  int64_t keys;             /* keys that hold state or timers now */
  int64_t state_bytes;      /* memory of keys, state and timers; beyond 65,536 keys partly as last measured */
  int64_t watermark;        /* of the last operator */
  int64_t processing_timers_fired;   /* those of timers_fired … */
  int64_t processing_timers_pending; /* … and of timers_pending that wait for processing time */
  int64_t late_dropped;     /* late records that were left out */
  int64_t errors;           /* records and timers whose calls failed and were taken back */
  int64_t side_records;     /* rows of side outputs that were taken, or wait to be */
  int64_t side_dropped;     /* rows of outputs that nobody asked for */
  int64_t state_entries;    /* values, list elements and map entries that states hold now */
  int64_t input_watermark;  /* of the input: the last before its end */
} martlet_report;

/* `*out` is new (martlet_job_free). */
int32_t martlet_job_create(const martlet_job_options *options, martlet_job **out, martlet_error *error);
/* An input; `source` (its context) is moved, also on failure. The sources of a job are numbered from 0 in the order they are added. */
int32_t martlet_job_add_source(martlet_job *job, const martlet_source *source, const martlet_stream_options *options, martlet_error *error);
/* The same over an Arrow stream, which is moved. */
int32_t martlet_job_add_arrow_stream(martlet_job *job, struct ArrowArrayStream *stream, const martlet_stream_options *options, martlet_error *error);
/* Adds a process function; `function` (its context) is moved, also on failure. */
int32_t martlet_job_add_process(martlet_job *job, const martlet_process_function *function, const martlet_process_options *options, martlet_error *error);
/* The next output batch (new), or NULL at the end. Reads input until at least `min_rows` rows (>= 1) are there or the input ends:
 * 1 gives results as they come, a large number fewer and larger batches. What was emitted before an error is given first, the
 * error by the call after; then MARTLET_CLOSED. */
int32_t martlet_job_next(martlet_job *job, int64_t min_rows, martlet_batch **out, martlet_error *error);
/* A job can have several outputs. Each call of martlet_job_add_output asks for one, before the job runs: the main output (`tag`
 * NULL) or a side output of the function added as number `process`, from 1; 0: of the one added last. `*output` is its number,
 * from 0; asking twice gives the same. Without any call the job has one output, number 0: the main output of the function added
 * last. Rows of outputs that were not asked for and feed no function are counted and dropped. */
int32_t martlet_job_add_output(martlet_job *job, int64_t process, const char *tag, int64_t *output, martlet_error *error);
/* As martlet_job_next (which is output 0) for any output. One run feeds all of them: what comes for the others meanwhile is kept
 * until it is taken. Each output tells its end, or the error, once. */
int32_t martlet_job_next_from(martlet_job *job, int64_t output, int64_t min_rows, martlet_batch **out, martlet_error *error);
/* As martlet_job_output_schema for any output. */
int32_t martlet_job_schema_of(const martlet_job *job, int64_t output, struct ArrowSchema *out, martlet_error *error);
/* Calls every function's close, last first, and drops the state. Closing twice is MARTLET_OK. */
int32_t martlet_job_close(martlet_job *job, martlet_error *error);
int32_t martlet_job_report(const martlet_job *job, martlet_report *report, martlet_error *error);
/* The schema of the output, if known: declared, or inferred by now. `out->release` is NULL when it is not. */
int32_t martlet_job_output_schema(const martlet_job *job, struct ArrowSchema *out, martlet_error *error);
void martlet_job_free(martlet_job *job); /* closes it first; NULL allowed */

/* The stable hash of a key's canonical bytes (XXH64, seed 0), and the key group it falls in. */
uint64_t martlet_stable_hash(const void *bytes, size_t length);
int32_t martlet_key_group(uint64_t hash, int32_t max_parallelism);

#ifdef __cplusplus
}
#endif
#include "martlet_harness.h"
#include "martlet_workers.h"
#include "martlet_checkpoint.h"
#endif /* MARTLET_H */
