/* martlet_harness.h: one function driven by hand, and snapshots. Part of martlet.h, which includes it at its end. */
#ifndef MARTLET_HARNESS_H
#define MARTLET_HARNESS_H

#include "martlet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Drives one process function by hand, one record at a time, for tests and to look into a snapshot. It runs the operator that a
 * job would run. Conventions 4 and 5 hold for it as for a job. After an error of a callback or of the input it can still be looked at
 * (take, select, watermark) and closed; everything else is MARTLET_CLOSED. */
typedef struct martlet_harness martlet_harness;

typedef struct martlet_harness_options {
  uint32_t struct_size;
  const char *timestamp;        /* the column of event times; NULL: records come with theirs, or have none */
  int64_t max_out_of_orderness; /* ms that the watermark is behind the records; -1: it moves by martlet_harness_advance_watermark only */
  const char *right_timestamp;  /* of a function of two inputs: the column of its right input */
} martlet_harness_options;

typedef enum martlet_record_time {
  MARTLET_TIME_OF_COLUMN = 0, /* what the timestamp column says, none if there is no such column */
  MARTLET_TIME_GIVEN = 1      /* the argument, MARTLET_NO_TIMESTAMP for none */
} martlet_record_time;

/* Takes the one function out of `job`, which has not begun; only martlet_job_free may be called for the job afterwards. Its source is
 * not read. `options` may be NULL. `*out` is new (martlet_harness_free). */
int32_t martlet_harness_create(martlet_job *job, const martlet_harness_options *options, martlet_harness **out, martlet_error *error);
void martlet_harness_free(martlet_harness *harness); /* closes it first; NULL allowed */
/* Tells the input's schema (moved) and calls the function's open. Without, the first record does. */
int32_t martlet_harness_open(martlet_harness *harness, struct ArrowSchema *schema, martlet_error *error);
/* Processes row `row` of `batch`; `time` is a martlet_record_time. */
int32_t martlet_harness_push(martlet_harness *harness, const martlet_batch *batch, int64_t row, int32_t time, int64_t timestamp, martlet_error *error);
/* Both fire the timers that fall due. MARTLET_INVALID_ARGUMENT for a time before the present one, or without a manual clock. */
int32_t martlet_harness_advance_watermark(martlet_harness *harness, int64_t time_ms, martlet_error *error);
int32_t martlet_harness_advance_processing_time(martlet_harness *harness, int64_t time_ms, martlet_error *error);
/* Fires the timers that are due at the watermark and the clock as they are: one registered behind them waits for the next advance otherwise. */
int32_t martlet_harness_fire_due(martlet_harness *harness, martlet_error *error);
/* The same; event-time timers see `watermark` as the watermark, where it is behind the present one. */
int32_t martlet_harness_fire_due_seeing(martlet_harness *harness, int64_t watermark, martlet_error *error);
int32_t martlet_harness_end(martlet_harness *harness, martlet_error *error);   /* the end of the input */
int32_t martlet_harness_close(martlet_harness *harness, martlet_error *error); /* calls the function's close; twice is MARTLET_OK */
int64_t martlet_harness_watermark(const martlet_harness *harness);
int64_t martlet_harness_processing_time(const martlet_harness *harness);
/* A function of two inputs: as the functions above for one of them, `side` being a martlet_side. Records are processed as they are
 * pushed; the watermark the function sees is the smaller of both. (Those without a side: advance_watermark moves both inputs, end ends
 * both, push and open are for the left one.) */
int32_t martlet_harness_open_input(martlet_harness *harness, int32_t side, struct ArrowSchema *schema, martlet_error *error);
int32_t martlet_harness_push_to(martlet_harness *harness, int32_t side, const martlet_batch *batch, int64_t row, int32_t time, int64_t timestamp, martlet_error *error);
int32_t martlet_harness_advance_input(martlet_harness *harness, int32_t side, int64_t time_ms, martlet_error *error);
/* An idle input (`idle` 1) does not hold the watermark back until its next record or watermark. */
int32_t martlet_harness_set_idle(martlet_harness *harness, int32_t side, int32_t idle, martlet_error *error);
/* One input has ended; the function is told of the end of both when the other one ends, too. */
int32_t martlet_harness_end_input(martlet_harness *harness, int32_t side, martlet_error *error);
int32_t martlet_harness_schema_of(const martlet_harness *harness, int32_t side, struct ArrowSchema *out, martlet_error *error);
/* What was emitted since the last call to the main output (`tag` NULL) or to a side output: `*out` is new, or NULL if nothing was; `*timestamps` has one for each row
 * (MARTLET_NO_TIMESTAMP: none), borrowed until the next call. */
int32_t martlet_harness_take(martlet_harness *harness, const char *tag, martlet_batch **out, const int64_t **timestamps, martlet_error *error);
/* The (left) input's schema; `out->release` is NULL while it is not known. */
int32_t martlet_harness_schema(const martlet_harness *harness, struct ArrowSchema *out, martlet_error *error);
/* The fields of the key columns, for the keys that are looked up. */
int32_t martlet_harness_key_schema(const martlet_harness *harness, struct ArrowSchema *out, martlet_error *error);
/* Makes the key in row 0 of `key`, which has the key columns, the current one of the callback's context, so that states and
 * martlet_timers can be used; `*found` is 0, and nothing is selected, if it has neither state nor timers. `key` NULL: none is current
 * again. Reading a state then does not refresh its TTL. */
int32_t martlet_harness_select(martlet_harness *harness, const martlet_batch *key, int32_t *found, martlet_error *error);
/* All state, timers and times (docs/design/snapshot.md); borrowed until the next call. */
int32_t martlet_harness_snapshot(martlet_harness *harness, const uint8_t **bytes, size_t *length, martlet_error *error);

typedef struct martlet_restore_options {
  uint32_t struct_size;
  const char *const *forget; /* names of states of the snapshot that the function has no more and that need not be kept */
  int64_t n_forget;
  int32_t first_group;       /* only keys of so many key groups from this one on … */
  int32_t n_groups;
  int32_t max_parallelism;   /* … out of so many; 0: all keys */
} martlet_restore_options;

/* Continues from a snapshot; before anything was pushed. MARTLET_SNAPSHOT_INVALID and MARTLET_SNAPSHOT_MISMATCH tell what is wrong with
 * it. `options` may be NULL. */
int32_t martlet_harness_restore(martlet_harness *harness, const void *bytes, size_t length, const martlet_restore_options *options, martlet_error *error);

#ifdef __cplusplus
}
#endif
#endif /* MARTLET_HARNESS_H */
