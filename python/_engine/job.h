/* job.h: `Job`: one run of a stream. */
#ifndef MARTLET_PY_JOB_H
#define MARTLET_PY_JOB_H

#include "engine.h"

typedef struct job_object {
  PyObject_HEAD martlet_job *job; /* NULL once freed */
  PyObject *parts;                /* list: the sources and operators, which the engine borrows */
  PyObject *pending; /* the exception of the callback that failed; raised when the engine reports the failure */
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
} job_object;

int job_init(PyObject *module, engine_state *st);
void job_enter(job_object *self);
void job_leave(job_object *self);
/* Keeps the current exception (cleared) as the cause of the failure that the callback now reports; describes it in
 * `error`. Returns MARTLET_CALLBACK_FAILED. */
int32_t job_fail(job_object *self, martlet_error *error);
/* Calls `on_tick` if it is time. 0, or -1 with what it raised. */
int job_tick(job_object *self);

#endif
