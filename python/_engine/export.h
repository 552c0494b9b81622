/* export.h: batches of Python as an Arrow C stream. */
#ifndef MARTLET_PY_EXPORT_H
#define MARTLET_PY_EXPORT_H

#include "engine.h"

/* export_stream(schema, iterator of RecordBatch) → capsule "arrow_array_stream". */
PyObject *export_stream(PyObject *module, PyObject *args);

#endif
