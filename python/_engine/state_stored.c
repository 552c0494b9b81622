/* What a state with a TTL holds, with the time each part counts from: `_stamped` and `_put_stamped`, for keepers (keeper.h). */
#include "binding.h"
#include "errors.h"
#include "items.h"

typedef struct collection {
  state_object *state;
  PyObject *list;
} collection;

static int32_t collect(void *context, const martlet_value *key, const martlet_value *value, int64_t stamp) {
  collection *into = context;
  engine_state *st = state_of((PyObject *)into->state);
  PyObject *place = key ? key_to_python(st, state_map_key(into->state), key) : NULL;
  PyObject *object = key && !place ? NULL : item_to_python(st, &into->state->value, value);
  PyObject *time = object ? PyLong_FromLongLong((long long)stamp) : NULL;
  PyObject *entry = !time ? NULL : place ? PyTuple_Pack(3, place, object, time) : PyTuple_Pack(2, object, time);
  int result = entry ? PyList_Append(into->list, entry) : -1;
  Py_XDECREF(place);
  Py_XDECREF(object);
  Py_XDECREF(time);
  Py_XDECREF(entry);
  return result;
}

PyObject *state_stamped(state_object *self, PyObject *unused) {
  (void)unused;
  state_binding *binding = state_bound(self);
  martlet_error error;
  collection into = {self, binding ? PyList_New(0) : NULL};
  if (!into.list) return NULL;
  int32_t status = martlet_stored_visit(binding->handle, collect, &into, &error);
  if (status == MARTLET_OK) return into.list;
  Py_DECREF(into.list);
  if (!PyErr_Occurred()) state_failed(self, binding, status, &error);
  return NULL;
}

PyObject *state_put_stamped(state_object *self, PyObject *args) {
  engine_state *st = state_of((PyObject *)self);
  state_binding *binding = state_bound(self);
  PyObject *place = NULL, *object;
  long long stamp;
  martlet_error error;
  item key, value;
  if (!binding || !(state_is_map(self) ? PyArg_ParseTuple(args, "OOL", &place, &object, &stamp)
                                       : PyArg_ParseTuple(args, "OL", &object, &stamp)))
    return NULL;
  item_init(&key);
  item_init(&value);
  int result = place ? key_from_python(st, self->name, state_map_key(self), place, &key) : 0;
  if (result == 0) result = item_from_python(st, self->name, &self->value, "value of state", VALUES_ANY, object, &value);
  if (result == 0) {
    int32_t status =
      martlet_stored_put(binding->handle, place ? &key.value : NULL, &value.value, (int64_t)stamp, &error);
    if (status != MARTLET_OK) result = state_failed(self, binding, status, &error);
  }
  item_release(&key);
  item_release(&value);
  return result < 0 ? NULL : Py_NewRef(Py_None);
}
