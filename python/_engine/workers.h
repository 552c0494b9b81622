/* workers.h: a job whose instances run in other processes, and the same job in such a process. */
#ifndef MARTLET_PY_WORKERS_H
#define MARTLET_PY_WORKERS_H

#include "job.h"

PyObject *job_use_workers(job_object *self, PyObject *args);
PyObject *job_serve(job_object *self, PyObject *args);
/* Raises the exception of a worker that made the job fail: 1 if there is one (or it cannot be made), 0 if not. */
int job_raise_cause(job_object *self);

#endif
