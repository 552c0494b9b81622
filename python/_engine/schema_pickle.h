/* schema_pickle.h: schemas as tuples, for pickle. */
#ifndef MARTLET_PY_SCHEMA_PICKLE_H
#define MARTLET_PY_SCHEMA_PICKLE_H

#include "schema.h"

PyObject *schema_reduce(schema_object *self, PyObject *unused);
PyObject *schema_rebuild(PyTypeObject *type, PyObject *node);

#endif
