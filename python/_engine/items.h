/* items.h: a Python object as a value, element or key of a state, and back. */
#ifndef MARTLET_PY_ITEMS_H
#define MARTLET_PY_ITEMS_H

#include "scalars.h"
#include "state.h"
#include "values.h"

/* Opens the type that a user wrote: `dtype` is None for dynamic values. `what` says what of the state it is, for messages. */
int item_type_open(engine_state *st, PyObject *name, PyObject *dtype, const char *what, item_type *out);
void item_type_close(item_type *type);
static inline const char *item_type_format(const item_type *type) {
  return type->spec == Py_None ? NULL : PyUnicode_AsUTF8(type->spec);
}
bool item_type_is_text(const item_type *type);
/* Text or bytes: what JSON text is kept in. */
bool item_type_holds_json(const item_type *type);

/* A converted object; `value` points into it, so it stays where it is until released. */
typedef struct item {
  martlet_value value;
  scalar scalar;
  bool has_scalar;
  PyObject *owner;
  values_buffer buffer;
} item;

static inline void item_init(item *self) {
  self->has_scalar = false;
  self->owner = NULL;
  values_buffer_init(&self->buffer);
}
void item_release(item *self);
/* 0, or -1 with StateTypeError or ValueRangeError naming the state; `rules` VALUES_JSON stores as JSON. `out` is initialised
 * and to be released in both cases. `noun` is what it is of the state, such as "element of state". */
int item_from_python(engine_state *st, PyObject *state, const item_type *type, const char *noun, values_rules rules,
                     PyObject *value, item *out);
/* New, or NULL. */
PyObject *item_to_python(engine_state *st, const item_type *type, const martlet_value *value);

/* Dynamic keys of maps: bytes in the order of the keys (docs/design/values.md). */
int key_encode(engine_state *st, PyObject *state, PyObject *key, values_buffer *buffer);
PyObject *key_decode(engine_state *st, const uint8_t *bytes, size_t length);
int key_from_python(engine_state *st, PyObject *state, const item_type *type, PyObject *key, item *out);
PyObject *key_to_python(engine_state *st, const item_type *type, const martlet_value *value);

#endif
