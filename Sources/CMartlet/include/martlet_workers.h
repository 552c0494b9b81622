/* martlet_workers.h: parallel instances in worker processes. Part of martlet.h, which includes it at its end. */
#ifndef MARTLET_WORKERS_H
#define MARTLET_WORKERS_H

#include "martlet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A job may run N instances of every operator in N other processes, each with its share of the keys; its output is the same. The
 * coordinator makes N pairs of connected Unix stream sockets and the processes, gives each process one end, and calls
 * martlet_job_use_workers with the other ends, before the job begins. Each worker builds the same job (the same settings, sources,
 * functions in the same order; its sources are not read) and calls martlet_job_serve. Records travel in shared memory without a
 * name: nothing is left behind however a process ends. A worker that ends too early is MARTLET_WORKER_DIED.
 *
 * `sockets` are moved, also on failure. Instance i of every operator runs behind sockets[i]; the functions of this job are not
 * called. Keys are divided into `max_parallelism` groups (128 is usual; at least n_sockets). */
int32_t martlet_job_use_workers(martlet_job *job, const int *sockets, int64_t n_sockets, int32_t max_parallelism, martlet_error *error);

typedef struct martlet_serve_options {
  uint32_t struct_size;
  int32_t instance;        /* from 0 */
  int32_t parallelism;
  int32_t max_parallelism; /* as the coordinator's */
  /* Called after a callback failed: bytes for the coordinator's martlet_job_cause, borrowed until the next callback; `*length` 0
   * for none. NULL allowed. */
  void *context;
  void (*cause)(void *context, const uint8_t **bytes, size_t *length);
} martlet_serve_options;

/* Serves as one instance of every operator until the coordinator closes its job: MARTLET_OK; then the process should end. Callbacks
 * run in here. When the coordinator goes without a word, even in the middle of a callback, the process ends at once
 * (_exit). `socket` is moved, also on failure. Afterwards only martlet_job_free may be called for the job. */
int32_t martlet_job_serve(martlet_job *job, int socket, const martlet_serve_options *options, martlet_error *error);

/* What a worker's `cause` gave about the failure that the last martlet_job_next reported: writes at most `capacity` of its bytes to `bytes`
 * and how many there are to `*length`; 0 if it gave none. */
int32_t martlet_job_cause(const martlet_job *job, uint8_t *bytes, size_t capacity, size_t *length, martlet_error *error);

#ifdef __cplusplus
}
#endif
#endif /* MARTLET_WORKERS_H */
