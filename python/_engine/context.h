/* context.h: `ctx`: what a callback knows of its call, its timers and its output. */
#ifndef MARTLET_PY_CONTEXT_H
#define MARTLET_PY_CONTEXT_H

#include "engine.h"

struct operator_object;

#define EMIT_PLANS 8

/* Where the fields of one call site of emit() go. Python gives a call site the same tuple of keyword names every time,
 * so the tuple's address finds the plan. */
typedef struct emit_plan {
  PyObject *kwnames;      /* owned; NULL: unused */
  PyObject *record_names; /* owned; for emit(record, …): the names of the record's columns, otherwise NULL */
  Py_ssize_t n_fields;
  Py_ssize_t n_copied;
  int64_t *columns; /* n_fields output columns, then n_copied pairs (record column, output column) */
} emit_plan;

typedef struct emission {
  martlet_output *output; /* from open to close */
  int running;            /* a row is being built */
  int64_t n_columns;      /* -1: not read yet */
  PyObject *names;
  PyObject *index;
  martlet_appender **appenders;
  const martlet_column **fields;
  emit_plan plans[EMIT_PLANS];
  int next_plan;
} emission;

typedef struct context_object {
  PyObject_HEAD struct operator_object *operator; /* borrowed; NULL once the operator is gone */
  martlet_context *call;                          /* from open to close */
  int in_batch;                                   /* inside on_event and on_timer */
  PyObject *states;                               /* dict name → ValueState */
  emission emission;
  struct side_emission **sides; /* those emitted to, in that order */
  Py_ssize_t n_sides;
} context_object;

int context_init(PyObject *module, engine_state *st);
context_object *context_new(engine_state *st, struct operator_object *operator, PyObject * states);
/* After close: drops everything that belongs to the engine. */
void context_end(context_object *self);
/* StateAccessError unless a callback for a key runs. 0 or -1. */
int context_check(context_object *self, const char *what);

#endif
