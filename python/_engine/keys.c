#include "keys.h"

static int grow(operator_object *self, uint32_t slot) {
  uint32_t n = self->n_keys ? self->n_keys : 64;
  while (n <= slot) n *= 2;
  cached_key *keys = PyMem_Realloc(self->keys, n * sizeof *keys);
  if (!keys) {
    PyErr_NoMemory();
    return -1;
  }
  memset(keys + self->n_keys, 0, (n - self->n_keys) * sizeof *keys);
  self->keys = keys;
  self->n_keys = n;
  return 0;
}

PyObject *keys_add(operator_object *self, const martlet_context *call, PyObject *key) {
  if (!key) return NULL;
  if (call->slot >= self->n_keys && grow(self, call->slot) < 0) {
    Py_DECREF(key);
    return NULL;
  }
  cached_key *kept = &self->keys[call->slot];
  kept->integer = call->key->integer;
  Py_XSETREF(kept->key, key);
  return key;
}

void keys_forget(operator_object *self) {
  for (uint32_t slot = 0; slot < self->n_keys; slot++) Py_XDECREF(self->keys[slot].key);
  PyMem_Free(self->keys);
  self->keys = NULL;
  self->n_keys = 0;
}
