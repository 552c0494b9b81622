/* schema.h: `Schema`: names and types of columns. */
#ifndef MARTLET_PY_SCHEMA_H
#define MARTLET_PY_SCHEMA_H

#include "engine.h"

typedef struct schema_object {
  PyObject_HEAD struct ArrowSchema schema;
  PyObject *names; /* tuple of interned str */
  PyObject *types; /* tuple of str, such as "timestamp[ms, UTC]" */
} schema_object;

int schema_init(PyObject *module, engine_state *st);
/* `schema` (a struct type) is moved, also on failure. New. */
PyObject *schema_new(engine_state *st, struct ArrowSchema *schema);
/* A schema from a mapping name → dtype, or an object with __arrow_c_schema__. 0, or -1 with an exception. */
int schema_from_python(engine_state *st, PyObject *declared, struct ArrowSchema *out);
/* The names of `n` columns as a tuple of interned strings. New. */
PyObject *schema_column_names(const martlet_column *columns, int64_t n);
/* dict name → position, of the first column of a name. New. */
PyObject *schema_name_index(PyObject *names);

#endif
