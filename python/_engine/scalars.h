/* scalars.h: a Python object as the scalar of an Arrow type: what a cell of a column and a typed state slot have in
 * common. */
#ifndef MARTLET_PY_SCALARS_H
#define MARTLET_PY_SCALARS_H

#include "engine.h"

/* What a value is meant for, in messages: "column 'n'" or "state 'count'". `mismatch` is the exception class for a
 * wrong type. */
typedef struct scalar_target {
  const char *noun;
  const char *name;
  PyObject *mismatch;
} scalar_target;

typedef enum scalar_kind { SCALAR_BOOL, SCALAR_INT64, SCALAR_UINT64, SCALAR_DOUBLE, SCALAR_BYTES } scalar_kind;

typedef struct scalar {
  scalar_kind kind;
  union {
    int64_t integer;
    uint64_t unsigned_integer;
    double real;
  };
  const void *bytes; /* SCALAR_BYTES: into the object, `buffer` or `inline_bytes` */
  size_t length;
  Py_buffer buffer;
  uint8_t inline_bytes[32];
} scalar;

/* `value` is not None and `field` is no nested type. On success the caller calls scalar_release when done with the
 * bytes. -1 with an exception otherwise. */
int scalar_from_python(engine_state *st, const martlet_column *field, const scalar_target *target, PyObject *value,
                       scalar *out);
void scalar_release(scalar *value);
/* "column 'n': expected int64, got str 'abc'". Returns -1. `hint` may be NULL. */
int scalar_mismatch(const martlet_column *field, const scalar_target *target, PyObject *value, const char *hint);
int scalar_out_of_range(engine_state *st, const martlet_column *field, const scalar_target *target, PyObject *value,
                        const char *why);

#endif
