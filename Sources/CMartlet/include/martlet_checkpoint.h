/* martlet_checkpoint.h: checkpoints of a whole job, and going on from one. Part of martlet.h, which includes it at its end. */
#ifndef MARTLET_CHECKPOINT_H
#define MARTLET_CHECKPOINT_H

#include "martlet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A checkpoint holds all state, timers and watermarks of a job, the places of its sources (martlet_source.offset), what waits before
 * functions of two inputs, and bytes of the caller's own, such as the prepared transaction of a sink. It is taken between two calls of
 * martlet_job_next; what was emitted until then comes before it.
 *
 * A job that is to survive its process has a state directory (below). Whoever drives it calls martlet_state_dir_attach before the job
 * begins, and martlet_job_stay_open; tells the sink what martlet_state_dir_sink gives; then calls martlet_job_next and hands over
 * what comes. When a checkpoint is due, and once at the end of the input, it
 *
 *   1. calls martlet_job_take for every output until it gives NULL, and hands that over,
 *   2. prepares the sink's transaction,
 *   3. calls martlet_state_dir_begin with the bytes that name it,
 *   4. goes on with martlet_job_next, but keeps what comes, while the checkpoint is written; asks martlet_state_dir_finish now and then;
 *   5. once that says it is done, commits the sink's transaction, and hands over what was kept.
 *
 * After a crash before the end of 4 the job goes on from the checkpoint before: what the sink had prepared is to be dropped. After
 * it, from the new one: what its bytes name is to be committed, again if need be.
 *
 * A checkpoint can also be taken by itself and written where one likes, as a savepoint (martlet_job_savepoint). On disk it is a
 * directory, which is there whole or not at all. A new job that is built alike, with whatever parallelism, goes on from it. */
typedef struct martlet_checkpoint martlet_checkpoint;

/* A source's `offset` says where it stands, as bytes of its own, borrowed until the next call of the source: a source of the same kind
 * over the same input, given them by `seek` before it is read, gives the records that this one gives from here on, in the same order; they
 * may be cut into other batches. `*length` 0: it cannot tell. `offset` is called before the first `next` and after each, on the thread of
 * that. A source without them goes on wherever it begins: martlet_checkpoint_not_replayable names it. */

/* ---- a job ------------------------------------------------------------------------------------- */

/* Lets the martlet_job_next that runs, or the next one, give soon what there is, `*out` NULL if that is nothing: for a checkpoint that is
 * due while nothing is emitted. Any thread. */
void martlet_job_pause(martlet_job *job);
/* 1 if the last martlet_job_next came back early because of that, so that its NULL is not the end. */
int32_t martlet_job_is_paused(const martlet_job *job);
/* Before the job begins: leaves it open when its input has ended, for a last checkpoint. martlet_job_next gives NULL then, and
 * martlet_job_close closes it. From here on a live source is read by a thread of its own, so that martlet_job_pause is heard also while
 * it waits; another source is asked for its next batch first, which may be one without rows. */
void martlet_job_stay_open(martlet_job *job);
/* What there is of an output when nothing is under way, without reading more. `*out` is new, NULL if there is nothing. */
int32_t martlet_job_take(martlet_job *job, int64_t output, martlet_batch **out, martlet_error *error);

/* Takes checkpoint number `id` (from 1), whole in memory, also where state is on disk. `sink` is copied. `*out` is new
 * (martlet_checkpoint_free). MARTLET_INVALID_ARGUMENT while an output has rows; MARTLET_CLOSED if the job has failed. */
int32_t martlet_job_checkpoint(
  martlet_job *job, int64_t id, const uint8_t *sink, size_t sink_length, martlet_checkpoint **out, martlet_error *error);
/* Takes one and writes it as martlet_checkpoint_write does, key by key, so that memory does not follow the size of the state. Errors as of
 * both; the job goes on after them. Instances in worker processes write there too: the path has to mean the same to them. */
int32_t martlet_job_savepoint(
  martlet_job *job, const char *path, int64_t id, const uint8_t *sink, size_t sink_length, martlet_error *error);

/* Something of a checkpoint that the job no longer has and that is not to be kept. */
typedef struct martlet_forgotten {
  const char *operator_name;
  const char *state; /* NULL: the whole operator */
} martlet_forgotten;

typedef struct martlet_resume_options {
  uint32_t struct_size;
  const martlet_forgotten *forgotten;
  int64_t n_forgotten;
} martlet_resume_options;

/* Lets a job that is complete and has not begun go on where the checkpoint was taken. MARTLET_SNAPSHOT_MISMATCH, naming it, if it has
 * other sources, another max_parallelism, or lacks an operator of the checkpoint; operators are found by name. A state or key of another
 * type is MARTLET_SNAPSHOT_MISMATCH in the first martlet_job_next. `options` may be NULL. */
int32_t martlet_job_restore(
  martlet_job *job, const martlet_checkpoint *checkpoint, const martlet_resume_options *options, martlet_error *error);

/* ---- a checkpoint ------------------------------------------------------------------------------ */

/* Writes it as the directory `path`, which does not exist. When this fails there is nothing under that name, unless the last step did:
 * making the name durable. */
int32_t martlet_checkpoint_write(const martlet_checkpoint *checkpoint, const char *path, martlet_error *error);
/* Reads and verifies such a directory, which has to stay until a job that goes on from it has begun: keys are read when they are needed.
 * `*out` is new (martlet_checkpoint_free). MARTLET_STORAGE_CORRUPT names the file that is missing
 * or damaged; MARTLET_SNAPSHOT_INVALID: a newer version wrote it. */
int32_t martlet_checkpoint_read(const char *path, martlet_checkpoint **out, martlet_error *error);
int64_t martlet_checkpoint_id(const martlet_checkpoint *checkpoint);
/* When it was taken, by the job's clock. */
int64_t martlet_checkpoint_time(const martlet_checkpoint *checkpoint);
/* What martlet_job_checkpoint was given, borrowed from the checkpoint; its length in `*length`. */
const uint8_t *martlet_checkpoint_sink(const martlet_checkpoint *checkpoint, size_t *length);
/* The name of source number `index`, from 0, of those that cannot be read again from where they stood; borrowed; NULL behind the last. */
const char *martlet_checkpoint_not_replayable(const martlet_checkpoint *checkpoint, int64_t index);
void martlet_checkpoint_free(martlet_checkpoint *checkpoint); /* NULL allowed */

/* ---- the state directory of a job -------------------------------------------------------------- */

/* A directory with the newest checkpoints of one job. One process has it at a time. Its functions are called by the job's thread. */
typedef struct martlet_state_dir martlet_state_dir;

typedef enum martlet_backend {
  /* State is in memory; a checkpoint is a portable copy of all of it. */
  MARTLET_BACKEND_MEMORY = 0,
  /* State is in RocksDB, what is used of it in memory; a checkpoint adds what has changed. */
  MARTLET_BACKEND_ROCKSDB = 1
} martlet_backend;

typedef struct martlet_state_dir_options {
  uint32_t struct_size;
  int32_t backend;        /* martlet_backend */
  int64_t retained;       /* how many checkpoints are kept, at least 1; 0: 2 */
  int64_t memory_limit;   /* with RocksDB: bytes that state may take in memory, about, of all instances; 0: 512 MiB */
  const char *store_path; /* with RocksDB: where the store is while the job runs; NULL: "store" in the directory */
} martlet_state_dir_options;

/* Makes the directory if need be and locks it: MARTLET_STORAGE_IN_USE if another job has it. `options` may be NULL. `*out` is new
 * (martlet_state_dir_free, which gives up the lock). */
int32_t martlet_state_dir_open(
  const char *path, const martlet_state_dir_options *options, martlet_state_dir **out, martlet_error *error);
/* Lets a job that is complete and has not begun keep its state here from now on; a directory is opened anew for each job. The job goes on
 * from the newest whole checkpoint of the directory; if there is none, from what is at `from`, a savepoint or checkpoint or
 * another state directory; if that is NULL, it begins anew. `*checkpoint_id` is what it goes on from in this directory, 0 if nothing.
 * What is wrong with newer checkpoints that were passed over goes to `damaged` as text, cut at `capacity` bytes; empty if nothing is.
 * What `options` want forgotten may be gone already. `options`, `checkpoint_id` and `damaged` may be NULL. Errors as of
 * martlet_job_restore; MARTLET_STORAGE_CORRUPT if there are checkpoints and none is whole. */
int32_t martlet_state_dir_attach(
  martlet_state_dir *dir, martlet_job *job, const char *from, const martlet_resume_options *options,
  int64_t *checkpoint_id, char *damaged, size_t capacity, martlet_error *error);
/* After martlet_state_dir_attach: what martlet_state_dir_begin was given with the checkpoint that the job goes on from, in this directory
 * or at `from`; its length in `*length`, 0 without one. Borrowed. */
const uint8_t *martlet_state_dir_sink(const martlet_state_dir *dir, size_t *length);
/* The least number that the next checkpoint may have. Numbers only rise, also over those that failed or are damaged. */
int64_t martlet_state_dir_next_id(const martlet_state_dir *dir);
/* Takes checkpoint number `id` and begins to write it, in the background. `sink` is copied. MARTLET_INVALID_ARGUMENT while an output has
 * rows; MARTLET_BUSY while another one is under way; MARTLET_CLOSED if the job has failed: martlet_job_next says how. */
int32_t martlet_state_dir_begin(
  martlet_state_dir *dir, martlet_job *job, int64_t id, const uint8_t *sink, size_t sink_length, martlet_error *error);
/* `*done` is 1 once the checkpoint that was begun is there for good; with `wait` not 0 it waits for that. What went wrong with writing it is the
 * error of this call: the job is then to be closed, and goes on, in another life, from what the directory has.
 * MARTLET_INVALID_ARGUMENT if none is under way. */
int32_t martlet_state_dir_finish(
  martlet_state_dir *dir, martlet_job *job, int32_t wait, int32_t *done, martlet_error *error);
/* Free the job first. Waits for a checkpoint that is under way. NULL allowed. */
void martlet_state_dir_free(martlet_state_dir *dir);

#ifdef __cplusplus
}
#endif
#include "martlet_state_files.h"
#endif /* MARTLET_CHECKPOINT_H */
