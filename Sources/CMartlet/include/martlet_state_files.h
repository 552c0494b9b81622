/* martlet_state_files.h: looking into checkpoints, and writing state for a job to begin with. Part of martlet.h, which includes it by
 * way of martlet_checkpoint.h. */
#ifndef MARTLET_STATE_FILES_H
#define MARTLET_STATE_FILES_H

#include "martlet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tables. The table of a state has the key's columns, and then
 *
 *   value, reducing   value
 *   aggregating       accumulator
 *   list              index (int64, from 0), value
 *   map               map_key, value
 *   broadcast         the same, without a key
 *
 * and, with a TTL, expires_at (int64, milliseconds in the time that the TTL counts; null: it counts from the restore). The table of an
 * operator's timers has the key's columns, domain ("event", "processing"), time (int64, milliseconds) and name (null: none). A column
 * whose name a key column has already is followed by "_". Values have the Arrow type of the state; those without a type (format NULL)
 * are JSON text, with {"$bytes": Base64}, {"$tuple": […]}, {"$dict": [[key, value], …]}, {"$float": "nan"} for what JSON lacks, and
 * {"$raw": Base64} for bytes that are no such value. */

/* ---- reading ----------------------------------------------------------------------------------- */

typedef struct martlet_state_reader martlet_state_reader;

/* Opens a checkpoint, a savepoint, or the newest whole checkpoint of a state directory, and verifies it. Takes no lock, changes nothing.
 * `*out` is new (martlet_state_reader_free). MARTLET_STORAGE_FAILED: there is none; MARTLET_STORAGE_CORRUPT names what is damaged;
 * MARTLET_SNAPSHOT_INVALID: a newer version wrote it. */
int32_t martlet_state_reader_open(const char *path, martlet_state_reader **out, martlet_error *error);
void martlet_state_reader_free(martlet_state_reader *reader); /* NULL allowed */

/* What is lent here is borrowed from the reader. The caller sets struct_size. */
typedef struct martlet_checkpoint_info {
  uint32_t struct_size;
  const char *path;     /* of the checkpoint that is read */
  const char *damaged;  /* what is wrong with newer ones of the directory, a line each; "": nothing */
  int64_t id;
  int64_t time_ms;
  const char *job_name;
  int32_t parallelism;
  int32_t max_parallelism;
  int64_t n_sources;
  int64_t n_operators;
} martlet_checkpoint_info;

typedef struct martlet_source_info {
  uint32_t struct_size;
  const char *name;
  const uint8_t *offset; /* NULL: it has none */
  size_t offset_length;
  int64_t records;       /* so far */
  int64_t watermark;
  int32_t has_ended;
} martlet_source_info;

typedef struct martlet_operator_info {
  uint32_t struct_size;
  const char *name;
  int32_t kind;          /* martlet_operator_kind */
  int64_t n_states;      /* those that the function no longer declared come last */
  int64_t watermark;
  int64_t processing_time;
  int64_t records;       /* so far, of the left input and of the right one */
  int64_t right_records;
  int32_t has_ended;
} martlet_operator_info;

int32_t martlet_state_reader_info(const martlet_state_reader *reader, martlet_checkpoint_info *info, martlet_error *error);
int32_t martlet_state_reader_source(const martlet_state_reader *reader, int64_t index, martlet_source_info *info, martlet_error *error);
int32_t martlet_state_reader_operator(const martlet_state_reader *reader, int64_t index, martlet_operator_info *info, martlet_error *error);
/* The declaration of state `index` of an operator. */
int32_t martlet_state_reader_state(const martlet_state_reader *reader, int64_t operator_index, int64_t index, martlet_state_spec *spec, martlet_error *error);
/* The operator of that name (NULL: the only one, or the only one that has the state) and its state of that name (NULL: `*state_index` is
 * -1). MARTLET_INVALID_ARGUMENT says what there is. */
int32_t martlet_state_reader_find(const martlet_state_reader *reader, const char *operator_name, const char *state, int64_t *operator_index, int64_t *state_index, martlet_error *error);
/* Reads everything of an operator once: how many keys and timers it has, and by state how many keys hold it and how many values, elements or
 * entries there are. The arrays have n_states places; NULL allowed. */
int32_t martlet_state_reader_count(const martlet_state_reader *reader, int64_t operator_index, int64_t *keys, int64_t *timers, int64_t *state_keys, int64_t *state_entries, martlet_error *error);
/* The columns of an operator's key, and of the table of a state (-1: the timers). `*out` is new (its `release`). */
int32_t martlet_state_reader_key_schema(const martlet_state_reader *reader, int64_t operator_index, struct ArrowSchema *out, martlet_error *error);
int32_t martlet_state_reader_schema(const martlet_state_reader *reader, int64_t operator_index, int64_t state_index, struct ArrowSchema *out, martlet_error *error);

/* A table that is read from its first row to its last, in the order of key bytes. Needs the reader no more. */
typedef struct martlet_state_rows martlet_state_rows;

/* The table of a state (-1: the timers). `key`: only of the key whose columns are in row 0; NULL: of all. `*out` is new
 * (martlet_state_rows_free). */
int32_t martlet_state_reader_rows(const martlet_state_reader *reader, int64_t operator_index, int64_t state_index, const martlet_batch *key, martlet_state_rows **out, martlet_error *error);
/* At most so many rows; `*out` is new, NULL after the last. One thread at a time. */
int32_t martlet_state_rows_next(martlet_state_rows *rows, int64_t max_rows, martlet_batch **out, martlet_error *error);
void martlet_state_rows_free(martlet_state_rows *rows); /* NULL allowed */

/* ---- writing ----------------------------------------------------------------------------------- */

typedef struct martlet_state_writer martlet_state_writer;

/* Begins a savepoint at `path`, where there is nothing yet. `job`, complete and not begun, is the template: a job that is built alike goes
 * on from it. Nothing of it is changed or called. `*out` is new (martlet_state_writer_free). */
int32_t martlet_state_writer_create(const char *path, const martlet_job *job, martlet_state_writer **out, martlet_error *error);
/* Adds rows of the table of a state, or of the timers, whose table is named "timers" ("timers_" where a state is). `operator_name` NULL: the
 * only one. Keys may come in any order, those of a list in the order of `index`. After an error, which names operator, table, column and
 * row, nothing can be written. */
int32_t martlet_state_writer_add(martlet_state_writer *writer, const char *operator_name, const char *table, const martlet_batch *batch, martlet_error *error);
/* Writes it, once. */
int32_t martlet_state_writer_finish(martlet_state_writer *writer, martlet_error *error);
void martlet_state_writer_free(martlet_state_writer *writer); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif /* MARTLET_STATE_FILES_H */
