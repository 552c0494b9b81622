/* state.h: what every kind of state has in common: the declaration and, inside a callback, the handle to what the current
 * key has. `State` is the base type; ValueState, ListState, MapState, ReducingState, AggregatingState and BroadcastState are its
 * kinds. */
#ifndef MARTLET_PY_STATE_H
#define MARTLET_PY_STATE_H

#include "engine.h"

struct operator_object;

/* A live handle: which engine state, and the operator it belongs to (for messages). */
typedef struct state_binding {
  martlet_state *handle;
  struct operator_object *operator; /* borrowed: outlives its bindings */
} state_binding;

/* How values of a type travel: through `integer`, `real` or `bytes` of a martlet_value. */
typedef enum slot_kind { SLOT_INTEGER, SLOT_REAL, SLOT_BYTES } slot_kind;

/* The declared type of a value, an element or a key. */
typedef struct item_type {
  PyObject *dtype;        /* as declared; None: dynamic values */
  PyObject *spec;         /* Arrow format as str; None: dynamic values */
  martlet_builder *typed; /* holds `field`; NULL: dynamic values */
  const martlet_column *field;
  slot_kind slot;
} item_type;

typedef struct state_object {
  PyObject_HEAD PyObject *name; /* str */
  PyObject *arguments;          /* what it was made with, to make another: tuple and dict */
  PyObject *options;
  item_type value;
  PyObject *ttl; /* martlet.TTL or None */
  int64_t ttl_ms;
  int32_t ttl_flags;
  int32_t kind;    /* martlet_state_kind */
  int32_t reducer; /* martlet_reducer */
  /* A copy that belongs to one operator is bound for every thread. A declaration that several operators may share, each
   * on its own thread, is bound per thread: the first one inline, the others in `others` (thread state → capsule). */
  int is_private;
  PyThreadState *thread;
  state_binding binding;
  PyObject *others;
} state_object;

int state_init(PyObject *module, engine_state *st);
/* Fills the engine's declaration; it borrows from `self`. 0 or -1. */
int state_spec(state_object *self, martlet_state_spec *spec);

/* For the kinds. A new object of `type` with name, type and lifetime read and checked, or NULL. `options` may be NULL. */
state_object *state_declare(PyTypeObject *type, int32_t kind, PyObject *arguments, PyObject *options, PyObject *name,
                            PyObject *dtype, PyObject *ttl);
int state_traverse(state_object *self, visitproc visit, void *arg);
int state_tp_clear(state_object *self);
void state_free(state_object *self); /* the end of a kind's dealloc */
void state_dealloc(state_object *self);
/* Raises what the engine reported, located. -1. */
int state_failed(state_object *self, state_binding *binding, int32_t status, const martlet_error *error);
/* Gives the current exception its place. -1. */
int state_locate(state_binding *binding);
PyObject *state_clear(state_object *self, PyObject *unused);
PyObject *state_exists(state_object *self, PyObject *unused);
/* For keepers: state_stored.c. */
PyObject *state_stamped(state_object *self, PyObject *unused);
PyObject *state_put_stamped(state_object *self, PyObject *args);
/* MapState and BroadcastState, which have keys of a type. */
static inline bool state_is_map(const state_object *self) {
  return self->kind == MARTLET_STATE_MAP || self->kind == MARTLET_STATE_BROADCAST;
}
/* The type of a map's keys. */
item_type *state_map_key(state_object *self);
/* Adds a kind to the module; new. */
PyTypeObject *state_add_kind(PyObject *module, engine_state *st, PyType_Spec *spec);

int state_value_init(PyObject *module, engine_state *st);
int state_list_init(PyObject *module, engine_state *st);
int state_map_init(PyObject *module, engine_state *st);
int state_reduce_init(PyObject *module, engine_state *st);
int state_aggregate_init(PyObject *module, engine_state *st);

#endif
