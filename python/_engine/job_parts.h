/* job_parts.h: how a job is put together: its sources and operators. */
#ifndef MARTLET_PY_JOB_PARTS_H
#define MARTLET_PY_JOB_PARTS_H

#include "job.h"

PyObject *job_add_source(job_object *self, PyObject *args);
PyObject *job_add_arrow_stream(job_object *self, PyObject *args);
PyObject *job_add_process(job_object *self, PyObject *args);

#endif
