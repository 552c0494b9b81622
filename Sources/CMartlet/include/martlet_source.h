/* martlet_source.h: where the records of a job come from. A textual part of martlet.h, with its conventions. */
#ifndef MARTLET_SOURCE_H
#define MARTLET_SOURCE_H

/* Gives batches until the input ends. `next` either fills `array` (moved to the engine), or leaves array->release NULL at the
 * end of the input. It also fills `schema` (moved) with the first batch and whenever it likes; a schema left released means
 * "as before". Every batch has the same schema: another one is MARTLET_SCHEMA_MISMATCH. */
typedef struct martlet_source {
  uint32_t struct_size;
  void *context;
  int32_t (*next)(void *context, struct ArrowArray *array, struct ArrowSchema *schema, martlet_error *error);
  void (*destroy)(void *context);
  /* As `next`, but called on a thread of the engine's own while processing-time timers are pending, so that they fire also
   * while it waits. Calls of the two never overlap. NULL: `next` never waits for long, or must stay on the job's thread. */
  int32_t (*next_background)(void *context, struct ArrowArray *array, struct ArrowSchema *schema, martlet_error *error);
  /* The job has ended while next_background still runs: its result will be dropped. Called on the job's thread; `destroy` is then called
   * on the other thread, once that call has returned, which may be after martlet_job_free. NULL allowed. */
  void (*abandon)(void *context);
  /* To read it again from a place in its middle: see martlet_checkpoint.h. Both or neither. */
  int32_t (*offset)(void *context, const uint8_t **bytes, size_t *length, martlet_error *error);
  int32_t (*seek)(void *context, const uint8_t *bytes, size_t length, martlet_error *error);
  /* What the batch that was given last belongs to (UTF-8, `*length` bytes, borrowed until the next call of the source; left NULL: to nothing),
   * of a source with parts that are each in order by themselves. Each has a watermark then, and the stream's is the least of those
   * that have neither ended nor, in a live source, been silent for idle_timeout. A partition counts from its first batch on, which may be
   * one without rows. `*is_last` 1: nothing more comes of it behind this batch and those of the same partition that follow at once.
   * Called after each batch, on the thread of that. NULL: no partitions. */
  int32_t (*partition)(void *context, const char **name, size_t *length, int32_t *is_last, martlet_error *error);
} martlet_source;

typedef struct martlet_stream_options {
  uint32_t struct_size;
  const char *name;
  const char *timestamp;         /* column of event times; NULL: no event time */
  int64_t max_out_of_orderness;  /* milliseconds, >= 0 */
  /* ms: a live source that gave nothing for so long, by the job's clock, does not hold back the watermark of a function of two inputs
   * until its next record, nor a partition of one that of its source; 0: it always does. */
  int64_t idle_timeout;
  /* 1: functions of two inputs take its records as they arrive; 0: by their timestamps, the same way in every run. */
  int32_t live;
  int32_t replayable; /* of an Arrow stream, 1: another run will open one with the same rows, so that a checkpoint can count them */
} martlet_stream_options;

#endif
