/* job.h: `Job`: one run of a stream. */
#ifndef MARTLET_PY_JOB_H
#define MARTLET_PY_JOB_H

#include "engine.h"

typedef struct job_object {
  PyObject_HEAD martlet_job *job; /* NULL once freed */
  PyObject *parts;                /* list: the sources and operators, which the engine borrows */
  PyObject *pending; /* the exception of the callback that failed; raised when the engine reports the failure */
  /* The exception of a source that was read by another thread. Kept apart: a callback of the job's thread may fail meanwhile, and
   * be forgiven by an error policy. */
  PyObject *source_failure;
  PyObject *last;    /* the batch given last: its names are those of the next */
  int running;
  int opened; /* next was called */
  /* While martlet_job_next runs, the GIL is given up; a callback takes it with job_enter and gives it back with
   * job_leave. The two nest. */
  int released;
  int depth;
  PyThreadState *thread;
  PyObject *on_failure; /* called with every failure that is swallowed; NULL: none is */
  PyObject *on_tick;    /* called with the counters while the job runs, now and then; NULL: not */
  int64_t next_tick;    /* nanoseconds of the monotonic clock */
  /* With workers: makes an exception of the bytes that one sent. In a worker: makes bytes of an exception. See workers.h. */
  PyObject *on_cause;
  PyObject *cause; /* in a worker: the bytes made last, which the engine borrows */
} job_object;

int job_init(PyObject *module, engine_state *st);
void job_enter(job_object *self);
void job_leave(job_object *self);
/* Around a call of the engine that runs the job: gives the GIL up, and takes it back. The job is kept alive from the first on;
 * the caller drops that reference when it is done. */
void job_release_gil(job_object *self);
void job_take_gil(job_object *self);
/* Keeps the current exception (cleared) as the cause of the failure that the callback now reports; describes it in
 * `error`. Returns MARTLET_CALLBACK_FAILED. */
int32_t job_fail(job_object *self, martlet_error *error);
/* The same for a source that another thread reads. With the GIL held. */
void job_fail_source(job_object *self, martlet_error *error);
/* Raises what a failed engine call stands for: the callback's own exception if there is one. Returns -1. */
int job_raise(job_object *self, int32_t status, const martlet_error *error);
/* BusyError while it runs, ClosedError once it is gone. 0 or -1. */
int job_check_usable(job_object *self);
/* Calls `on_tick` if it is time. 0, or -1 with what it raised. */
int job_tick(job_object *self);

#endif
