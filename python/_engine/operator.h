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

/* What is kept of an input from call to call. */
typedef struct operator_input {
  record_object *record;      /* reused while nobody else holds it */
  struct batch_object *slice; /* on_batch: the same */
  PyObject *names;            /* of the input's columns */
  PyObject *index;
} operator_input;

typedef struct operator_object {
  PyObject_HEAD engine_state *st;
  struct job_object *job; /* borrowed: the job owns its operators */
  PyObject *name;
  PyObject *target; /* this instance's copy of the user's function */
  operator_method open, on_event, on_timer, close, on_end, on_batch, on_right;
  int32_t kind; /* martlet_operator_kind */
  Py_ssize_t n_states;
  state_object **states; /* owned; those of the engine, then further handles to them */
  Py_ssize_t *indices;   /* which of the engine's states each one is */
  state_binding *bindings;     /* the engine's handles, from open */
  state_binding *previous;     /* what each state was bound to before the running batch */
  context_object *context;
  operator_input inputs[2]; /* left, which is the only one of a MARTLET_PROCESS, and right */
  PyObject *key; /* of the running call, None where there is none; reused while the key stays the same */
  int64_t key_integer;
  PyObject *failure;          /* the texts of the last failure that was swallowed */
  int entered; /* between a batch_begin that succeeded and its batch_end */
  struct cached_key *keys; /* the key objects of the first slots; NULL until one is made */
  uint32_t n_keys;
  PyObject *keeper;   /* what loads and stores the states of the current key; NULL: the engine has them. See keeper.h */
  int32_t instance, parallelism; /* where several engines share the keys; parallelism 0: as the engine says */
  int keeper_is_busy; /* what it does to a state now is not reported to it */
} operator_object;

int operator_init(PyObject *module, engine_state *st);
/* `methods`: a tuple of (callable or None, takes_self): open, on_event, on_timer, close, on_end, on_batch, on_right. `states`: a
 * tuple of State, one for each of the engine's; `aliases`: a tuple of (State, index in `states`). New. */
operator_object *operator_new(engine_state *st, struct job_object *job, int32_t kind, PyObject *name, PyObject *target,
                              PyObject *methods, PyObject *states, PyObject *aliases);
/* The callbacks; the context is borrowed, the job keeps it alive until its engine job is gone. */
martlet_process_function operator_callbacks(operator_object *self);
static inline operator_input *operator_input_of(operator_object *self, const martlet_context *call) {
  return &self->inputs[call->side == MARTLET_RIGHT];
}
/* Makes `self->key` the key of this call. 0 or -1. */
int operator_read_key(operator_object *self, const martlet_context *call);
/* "left ", "right ", "broadcast " or "": records count per input, so with two of them a number would not say which record it is. */
const char *operator_side_word(const operator_object *self, const martlet_context *call);
/* Hands the current exception to the job; `method`: NULL for a callback with a key. The status for the engine. */
int32_t operator_fail(operator_object *self, const martlet_context *call, const char *method, martlet_error *error);
/* Gives the current MartletError the operator's name and the record and key of the running call. `self` may be NULL. */
void operator_locate_error(operator_object *self);

#endif
