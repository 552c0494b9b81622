/* engine.h: what every file of the extension shares: Python, the engine's C interface, and the module's state.
 *
 * There is no global variable in the extension: everything that lives as long as the module is in
 * `engine_state`, one per interpreter. Types are heap types that cannot be subclassed, so that an object's
 * type always leads to the state.
 */
#ifndef MARTLET_PY_ENGINE_H
#define MARTLET_PY_ENGINE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "martlet.h"

#define MARTLET_STATUS_COUNT 23

typedef struct engine_state {
  /* Exception classes of martlet.errors: by martlet_status, then those without a status of their own. */
  PyObject *status_errors[MARTLET_STATUS_COUNT];
  PyObject *martlet_error;
  PyObject *missing_column_error;
  PyObject *state_type_error;

  PyTypeObject *schema_type;
  PyTypeObject *batch_type;
  PyTypeObject *column_type;
  PyTypeObject *record_type;
  PyTypeObject *context_type;
  PyTypeObject *state_type; /* the base of every kind of state */
  PyTypeObject *operator_type;
  PyTypeObject *source_type;
  PyTypeObject *job_type;
  PyTypeObject *harness_type;
  PyTypeObject *clock_type;
  PyTypeObject *timer_type;
  PyTypeObject *state_rows_type;

  void *datetime;      /* PyDateTime_CAPI *, see temporal.h */
  PyObject *decimal;   /* decimal.Decimal */
  PyObject *timezone;  /* datetime.timezone */
  PyObject *zone_info; /* zoneinfo.ZoneInfo */
  PyObject *zones;     /* dict: Arrow time zone -> tzinfo */
  PyObject *type_spec; /* martlet.types.type_spec: a dtype -> Arrow format */
  PyObject *as_ttl;    /* martlet.ttl.as_ttl: what a user gives as ttl= -> TTL */
  PyObject *json_dumps;
  PyObject *json_loads;
  PyObject *zero;          /* the `row` every callback is given */
  PyObject *arrow_c_array; /* "__arrow_c_array__", interned, and so on */
  PyObject *arrow_c_stream;
  PyObject *arrow_c_schema;
  PyObject *operator_str;
  PyObject *record_str;
  PyObject *key_str;
  PyObject *left_str; /* "left" and "right": ctx.side */
  PyObject *right_str;
} engine_state;

static inline engine_state *state_of(PyObject *object) {
  return (engine_state *)PyType_GetModuleState(Py_TYPE(object));
}

/* Frees an object of a heap type, which also owns a reference to its type. */
static inline void free_object(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

#endif
