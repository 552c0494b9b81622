/* martlet_checkpoint.h: checkpoints of a whole job, and going on from one. Part of martlet.h, which includes it at its end. */
#ifndef MARTLET_CHECKPOINT_H
#define MARTLET_CHECKPOINT_H

#include "martlet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A checkpoint holds all state, timers and watermarks of a job, the places of its sources (martlet_source.offset), what waits before
 * functions of two inputs, and bytes of the caller's own, such as the prepared transaction of a sink. It is taken between two calls of
 * martlet_job_next; what was emitted until then comes before it. So whoever drives a job
 *
 *   1. calls martlet_job_next, and hands over what it gives; when a checkpoint is due,
 *   2. calls martlet_job_take for every output until it gives NULL, and hands that over too,
 *   3. prepares the sink's transaction and calls martlet_job_checkpoint,
 *   4. writes the checkpoint (martlet_checkpoint_write or martlet_checkpoint_folder_add): from here on the job goes on from it,
 *   5. commits the sink's transaction.
 *
 * On disk a checkpoint is a directory, which is there whole or not at all. A new job that is built alike, with whatever parallelism, goes
 * on from it by martlet_job_restore. */
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

/* Takes checkpoint number `id` (from 1). `sink` is copied. `*out` is new (martlet_checkpoint_free). MARTLET_INVALID_ARGUMENT while an
 * output has rows; MARTLET_CLOSED if the job has failed. */
int32_t martlet_job_checkpoint(
  martlet_job *job, int64_t id, const uint8_t *sink, size_t sink_length, martlet_checkpoint **out, martlet_error *error);

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
/* Reads and verifies such a directory. `*out` is new (martlet_checkpoint_free). MARTLET_STORAGE_CORRUPT names the file that is missing
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

/* ---- the checkpoints of a job ------------------------------------------------------------------ */

/* A directory with the newest checkpoints of one job. One process has it at a time. */
typedef struct martlet_checkpoint_folder martlet_checkpoint_folder;

/* Makes the directory if need be and locks it: MARTLET_STORAGE_IN_USE if another job has it. `retained` checkpoints are kept, at least
 * 1. `*out` is new (martlet_checkpoint_folder_free, which gives up the lock). */
int32_t martlet_checkpoint_folder_open(
  const char *path, int64_t retained, martlet_checkpoint_folder **out, martlet_error *error);
/* The newest whole checkpoint: `*out` is new, NULL if there is none at all. What is wrong with newer ones goes to `damaged` as text, cut
 * at `capacity` bytes; empty if nothing is. MARTLET_STORAGE_CORRUPT if there are some and none is whole. */
int32_t martlet_checkpoint_folder_newest(
  martlet_checkpoint_folder *folder, martlet_checkpoint **out, char *damaged, size_t capacity, martlet_error *error);
/* Adds a checkpoint durably; its number is greater than martlet_checkpoint_folder_last_id. */
int32_t martlet_checkpoint_folder_add(
  martlet_checkpoint_folder *folder, const martlet_checkpoint *checkpoint, martlet_error *error);
/* The greatest number that was used, also by a checkpoint that is damaged or could not be written; 0 for none. */
int64_t martlet_checkpoint_folder_last_id(const martlet_checkpoint_folder *folder);
/* Removes all but the newest ones. */
int32_t martlet_checkpoint_folder_remove_old(martlet_checkpoint_folder *folder, martlet_error *error);
void martlet_checkpoint_folder_free(martlet_checkpoint_folder *folder); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif /* MARTLET_CHECKPOINT_H */
