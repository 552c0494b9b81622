/* appending.h: Python objects into the columns of a builder or an output. */
#ifndef MARTLET_PY_APPENDING_H
#define MARTLET_PY_APPENDING_H

#include "engine.h"

/* Appends one cell. 0, or -1 with an exception; the caller then cancels the row. */
int append_value(engine_state *st, martlet_appender *appender, const martlet_column *field, PyObject *value);

#endif
