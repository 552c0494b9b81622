/* state_dir.h: `StateDir`: where a durable job keeps its state and checkpoints; and what a job does for checkpoints. */
#ifndef MARTLET_PY_STATE_DIR_H
#define MARTLET_PY_STATE_DIR_H

#include "job.h"

int state_dir_init(PyObject *module, engine_state *st);

/* Methods of Job. */
PyObject *job_pause(job_object *self, PyObject *unused);
PyObject *job_is_paused(job_object *self, PyObject *unused);
PyObject *job_stay_open(job_object *self, PyObject *unused);
PyObject *job_take(job_object *self, PyObject *args);
PyObject *job_save(job_object *self, PyObject *args);

#endif
