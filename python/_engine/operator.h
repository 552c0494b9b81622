/* operator.h: a Python process function as the engine's callbacks. */
#ifndef MARTLET_PY_OPERATOR_H
#define MARTLET_PY_OPERATOR_H

#include "context.h"
#include "record.h"
#include "state.h"

struct job_object;

/* A method of the user's function. When it is a plain function of the class, it is called with `target` as its first
 * argument, which saves the bound method; otherwise as it is. */
typedef struct operator_method {
  PyObject *call; /* NULL: there is none */
  int takes_self;
} operator_method;

typedef struct operator_object {
  PyObject_HEAD engine_state *st;
  struct job_object *job; /* borrowed: the job owns its operators */
  PyObject *name;
  PyObject *target; /* this instance's copy of the user's function */
  operator_method open, on_event, on_timer, close, on_end, on_batch;
  Py_ssize_t n_states;
  state_object **states; /* owned */
  state_binding *bindings;     /* the engine's handles, from open */
  state_binding *previous;     /* what each state was bound to before the running batch */
  context_object *context;
  record_object *record; /* reused while nobody else holds it */
  PyObject *names;       /* of the input's columns */
  PyObject *index;
  PyObject *key; /* of the running call; reused while the key stays the same */
  int64_t key_integer;
  struct batch_object *slice; /* on_batch: reused like `record` */
  PyObject *failure;          /* the texts of the last failure that was swallowed */
  int entered; /* between a batch_begin that succeeded and its batch_end */
  struct cached_key *keys; /* the key objects of the first slots; NULL until one is made */
  uint32_t n_keys;
} operator_object;

int operator_init(PyObject *module, engine_state *st);
/* `methods`: a tuple of (callable or None, takes_self): open, on_event, on_timer, close, on_end, on_batch. `states`: a tuple of
 * ValueState. New. */
operator_object *operator_new(engine_state *st, struct job_object *job, PyObject *name, PyObject *target,
                              PyObject *methods, PyObject *states);
/* The callbacks; the context is borrowed, the job keeps it alive until its engine job is gone. */
martlet_process_function operator_callbacks(operator_object *self);
/* Makes `self->key` the key of this call. 0 or -1. */
int operator_read_key(operator_object *self, const martlet_context *call);
/* Hands the current exception to the job; `method`: NULL for a callback with a key. The status for the engine. */
int32_t operator_fail(operator_object *self, const martlet_context *call, const char *method, martlet_error *error);
/* Gives the current MartletError the operator's name and the record and key of the running call. `self` may be NULL. */
void operator_locate_error(operator_object *self);

#endif
