/* keys.h: the Python objects of keys that come again. */
#ifndef MARTLET_PY_KEYS_H
#define MARTLET_PY_KEYS_H

#include <string.h>

#include "operator.h"

/* Keys get dense slots in the order of their first appearance, so that the first slots are those of few keys, or of the
 * frequent ones. Their objects are kept: making one anew for every record took 340 of 2500 instructions. More than these would
 * not stay in the processor's cache, where looking an object up costs as much as making it. */
#define KEYS_CACHED 4096

typedef struct cached_key {
  PyObject *key;   /* NULL: none yet */
  int64_t integer; /* of an integer key: what the object stands for */
} cached_key;

/* Whether keys of this slot are kept; then `*key` is the call's key object, borrowed, or NULL if it is to be made and added. */
static inline bool keys_cached(const operator_object *self, const martlet_context *call, PyObject **key);
/* Keeps `key`, whose reference it takes over. Borrowed, or NULL with an exception, also if `key` is NULL. */
PyObject *keys_add(operator_object *self, const martlet_context *call, PyObject *key);
void keys_forget(operator_object *self);

/* The same bytes, eight at a time. */
static inline bool keys_equal_bytes(const uint8_t *a, const uint8_t *b, size_t length) {
  uint64_t x, y;
  if (length < 8) {
    for (size_t i = 0; i < length; i++)
      if (a[i] != b[i]) return false;
    return true;
  }
  for (size_t i = 0; i + 8 < length; i += 8) {
    memcpy(&x, a + i, 8);
    memcpy(&y, b + i, 8);
    if (x != y) return false;
  }
  memcpy(&x, a + length - 8, 8);
  memcpy(&y, b + length - 8, 8);
  return x == y;
}

static inline bool keys_cached(const operator_object *self, const martlet_context *call, PyObject **key) {
  const martlet_key_part *part = call->key;
  if (call->slot >= KEYS_CACHED || call->key_parts != 1) return false;
  bool is_integer = part->kind == MARTLET_KEY_INTEGER || part->kind == MARTLET_KEY_UNSIGNED;
  if (!is_integer && part->field->type != MARTLET_TYPE_UTF8 && part->field->type != MARTLET_TYPE_LARGE_UTF8 &&
      part->field->type != MARTLET_TYPE_UTF8_VIEW)
    return false;
  *key = NULL;
  if (call->slot >= self->n_keys) return true;
  /* By value: a slot may have been given to another key meanwhile. */
  const cached_key *kept = &self->keys[call->slot];
  if (!kept->key) return true;
  if (is_integer) {
    if (kept->integer == part->integer) *key = kept->key;
  } else if (PyUnicode_CheckExact(kept->key) && PyUnicode_IS_COMPACT_ASCII(kept->key)) {
    if (PyUnicode_GET_LENGTH(kept->key) == part->length &&
        keys_equal_bytes(PyUnicode_DATA(kept->key), part->bytes, (size_t)part->length))
      *key = kept->key;
  }
  return true;
}

#endif
