/* `MapState`: a map per key. `BroadcastState`: one for all keys. */
#include "binding.h"
#include "errors.h"
#include "items.h"
#include "keeper.h"

typedef struct map_state_object {
  state_object base;
  item_type key;
} map_state_object;

item_type *state_map_key(state_object *self) { return &((map_state_object *)self)->key; }

static engine_state *engine_of(map_state_object *self) { return state_of((PyObject *)self); }

/* The converted key, or -1. `key` is to be released in both cases. */
static int read_key(map_state_object *self, state_binding *binding, PyObject *object, item *key) {
  item_init(key);
  int result = key_from_python(engine_of(self), self->base.name, &self->key, object, key);
  return result < 0 ? state_locate(binding) : 0;
}

/* Tells the keeper, if there is one, of the entry of this key. 0 or -1. */
static int tell_entry(map_state_object *self, state_binding *binding, const char *method, const item *key) {
  if (!keeper_listens(binding)) return 0;
  PyObject *object = key_to_python(engine_of(self), &self->key, &key->value);
  int result = object ? keeper_call(&self->base, binding, method, KEEPER_ENTRY, object) : -1;
  Py_XDECREF(object);
  return result;
}

/* ---- single entries ---------------------------------------------------------------------------------- */

static int put_with(map_state_object *self, PyObject *object, PyObject *value, values_rules rules) {
  state_binding *binding = state_bound(&self->base);
  martlet_error error;
  item key, item;
  if (!binding) return -1;
  int result = read_key(self, binding, object, &key);
  item_init(&item);
  if (result == 0) {
    result = item_from_python(engine_of(self), self->base.name, &self->base.value, "value of state", rules, value, &item);
    if (result < 0) state_locate(binding);
  }
  if (result == 0) {
    int32_t status = martlet_map_put(binding->handle, &key.value, &item.value, &error);
    result = status == MARTLET_OK ? tell_entry(self, binding, "after", &key)
                                  : state_failed(&self->base, binding, status, &error);
  }
  item_release(&key);
  item_release(&item);
  return result;
}

/* 1 and a new object, 0 when there is no such entry, -1 with an exception. */
static int find(map_state_object *self, PyObject *object, PyObject **out) {
  state_binding *binding = state_bound(&self->base);
  martlet_error error;
  martlet_value value;
  int32_t present = 0;
  item key;
  if (!binding) return -1;
  int result = read_key(self, binding, object, &key);
  if (result == 0) result = tell_entry(self, binding, "before", &key);
  if (result == 0) {
    int32_t status = martlet_map_get(binding->handle, &key.value, &value, &present, &error);
    if (status != MARTLET_OK) result = state_failed(&self->base, binding, status, &error);
    else if (present) result = (*out = item_to_python(engine_of(self), &self->base.value, &value)) ? 1 : -1;
  }
  item_release(&key);
  return result;
}

/* martlet_map_contains or martlet_map_remove: 1, 0, or -1 with an exception. */
static int ask(map_state_object *self, PyObject *object,
               int32_t (*question)(martlet_state *, const martlet_value *, int32_t *, martlet_error *)) {
  state_binding *binding = state_bound(&self->base);
  martlet_error error;
  int32_t answer = 0;
  item key;
  if (!binding) return -1;
  int result = read_key(self, binding, object, &key);
  if (result == 0) result = tell_entry(self, binding, "before", &key);
  if (result == 0) {
    int32_t status = question(binding->handle, &key.value, &answer, &error);
    result = status == MARTLET_OK ? answer : state_failed(&self->base, binding, status, &error);
    if (result > 0 && question == martlet_map_remove && tell_entry(self, binding, "after", &key) < 0) result = -1;
  }
  item_release(&key);
  return result;
}

static PyObject *put_args(map_state_object *self, PyObject *const *args, Py_ssize_t n, const char *name,
                          values_rules rules) {
  if (n != 2) return PyErr_Format(PyExc_TypeError, "%s() takes a key and a value, got %zd arguments", name, n);
  return put_with(self, args[0], args[1], rules) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *map_put(map_state_object *self, PyObject *const *args, Py_ssize_t n) {
  return put_args(self, args, n, "put", VALUES_ANY);
}

static PyObject *map_put_json(map_state_object *self, PyObject *const *args, Py_ssize_t n) {
  return put_args(self, args, n, "put_json", VALUES_JSON);
}

static PyObject *map_get(map_state_object *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
  Py_ssize_t named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  PyObject *value;
  if (n < 1 || n + named > 2 ||
      (named && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "default") != 0))
    return PyErr_Format(PyExc_TypeError, "get() takes a key and, optionally, a default");
  int found = find(self, args[0], &value);
  if (found > 0) return value;
  if (found < 0) return NULL;
  return Py_NewRef(n + named == 2 ? args[1] : Py_None);
}

static PyObject *map_remove(map_state_object *self, PyObject *key) {
  int removed = ask(self, key, martlet_map_remove);
  return removed < 0 ? NULL : PyBool_FromLong(removed);
}

static int map_contains(map_state_object *self, PyObject *key) { return ask(self, key, martlet_map_contains); }

static PyObject *map_contains_method(map_state_object *self, PyObject *key) {
  int present = map_contains(self, key);
  return present < 0 ? NULL : PyBool_FromLong(present);
}

static PyObject *map_subscript(map_state_object *self, PyObject *key) {
  PyObject *value;
  int found = find(self, key, &value);
  if (found == 0) PyErr_SetObject(PyExc_KeyError, key);
  return found > 0 ? value : NULL;
}

static int map_assign(map_state_object *self, PyObject *key, PyObject *value) {
  if (value) return put_with(self, key, value, VALUES_ANY);
  int removed = ask(self, key, martlet_map_remove);
  if (removed == 0) PyErr_SetObject(PyExc_KeyError, key);
  return removed > 0 ? 0 : -1;
}

/* ---- all entries -------------------------------------------------------------------------------------- */

typedef enum part { PART_KEYS, PART_VALUES, PART_ITEMS } part;

typedef struct collection {
  map_state_object *map;
  part part;
  PyObject *list;
} collection;

static int32_t collect(void *context, const martlet_value *key, const martlet_value *value) {
  collection *into = context;
  engine_state *st = engine_of(into->map);
  PyObject *first = into->part == PART_VALUES ? NULL : key_to_python(st, &into->map->key, key);
  PyObject *second = into->part == PART_KEYS ? NULL : item_to_python(st, &into->map->base.value, value);
  PyObject *entry = NULL;
  if (into->part == PART_KEYS) entry = Py_XNewRef(first);
  else if (into->part == PART_VALUES) entry = Py_XNewRef(second);
  else if (first && second) entry = PyTuple_Pack(2, first, second);
  int result = entry ? PyList_Append(into->list, entry) : -1;
  Py_XDECREF(first);
  Py_XDECREF(second);
  Py_XDECREF(entry);
  return result;
}

static PyObject *entries(map_state_object *self, PyObject *low, PyObject *high, part part) {
  state_binding *binding = state_bound(&self->base);
  martlet_error error;
  item from, to;
  if (!binding || keeper_before(&self->base, binding, KEEPER_WHOLE, NULL) < 0) return NULL;
  collection into = {self, part, PyList_New(0)};
  item_init(&from);
  item_init(&to);
  bool ready = into.list && (low == Py_None || read_key(self, binding, low, &from) == 0) &&
               (high == Py_None || read_key(self, binding, high, &to) == 0);
  if (ready) {
    int32_t status = martlet_map_visit(binding->handle, low == Py_None ? NULL : &from.value,
                                       high == Py_None ? NULL : &to.value, collect, &into, &error);
    ready = status == MARTLET_OK;
    if (!ready && !PyErr_Occurred()) state_failed(&self->base, binding, status, &error);
  }
  item_release(&from);
  item_release(&to);
  if (!ready) Py_CLEAR(into.list);
  return into.list;
}

static PyObject *map_items(map_state_object *self, PyObject *unused) {
  (void)unused;
  return entries(self, Py_None, Py_None, PART_ITEMS);
}

static PyObject *map_keys(map_state_object *self, PyObject *unused) {
  (void)unused;
  return entries(self, Py_None, Py_None, PART_KEYS);
}

static PyObject *map_values(map_state_object *self, PyObject *unused) {
  (void)unused;
  return entries(self, Py_None, Py_None, PART_VALUES);
}

static PyObject *map_range(map_state_object *self, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"lo", "hi", NULL};
  PyObject *low = Py_None, *high = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:range", (char **)(void *)keywords, &low, &high)) return NULL;
  return entries(self, low, high, PART_ITEMS);
}

static PyObject *map_iter(map_state_object *self) {
  PyObject *keys = map_keys(self, NULL), *iterator = keys ? PyObject_GetIter(keys) : NULL;
  Py_XDECREF(keys);
  return iterator;
}

static Py_ssize_t map_length(map_state_object *self) {
  state_binding *binding = state_bound(&self->base);
  martlet_error error;
  int64_t length;
  if (!binding || keeper_before(&self->base, binding, KEEPER_WHOLE, NULL) < 0) return -1;
  int32_t status = martlet_map_len(binding->handle, &length, &error);
  return status == MARTLET_OK ? (Py_ssize_t)length : state_failed(&self->base, binding, status, &error);
}

static PyObject *map_len(map_state_object *self, PyObject *unused) {
  (void)unused;
  Py_ssize_t length = map_length(self);
  return length < 0 ? NULL : PyLong_FromSsize_t(length);
}

/* ---- the declaration ----------------------------------------------------------------------------------- */

static PyObject *declare(PyTypeObject *type, int32_t kind, PyObject *args, PyObject *kwargs, PyObject *name,
                         PyObject *key_dtype, PyObject *dtype, PyObject *ttl) {
  engine_state *st = PyType_GetModuleState(type);
  map_state_object *self = (map_state_object *)state_declare(type, kind, args, kwargs, name, dtype, ttl);
  if (!self) return NULL;
  if (item_type_open(st, name, key_dtype, "keys", &self->key) < 0) goto fail;
  if (self->key.slot == SLOT_REAL) {
    PyErr_Format(errors_class(st, MARTLET_INVALID_ARGUMENT),
                 "state '%U': floats cannot be keys of a map, because numbers that print alike can differ; use key_dtype "
                 "int, Decimal or str",
                 name);
    goto fail;
  }
  return (PyObject *)self;
fail:
  Py_DECREF(self);
  return NULL;
}

static PyObject *map_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"name", "key_dtype", "dtype", "ttl", NULL};
  PyObject *name, *key_dtype = Py_None, *dtype = Py_None, *ttl = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO$O:MapState", (char **)(void *)keywords, &name, &key_dtype,
                                   &dtype, &ttl))
    return NULL;
  return declare(type, MARTLET_STATE_MAP, args, kwargs, name, key_dtype, dtype, ttl);
}

static PyObject *broadcast_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"name", "key_dtype", "dtype", NULL};
  PyObject *name, *key_dtype = Py_None, *dtype = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO:BroadcastState", (char **)(void *)keywords, &name, &key_dtype,
                                   &dtype))
    return NULL;
  return declare(type, MARTLET_STATE_BROADCAST, args, kwargs, name, key_dtype, dtype, NULL);
}

static int map_traverse(map_state_object *self, visitproc visit, void *arg) {
  Py_VISIT(self->key.dtype);
  return state_traverse(&self->base, visit, arg);
}

static void map_dealloc(map_state_object *self) {
  PyObject_GC_UnTrack(self);
  item_type_close(&self->key);
  state_free(&self->base);
}

static PyObject *map_key_dtype(map_state_object *self, void *unused) {
  (void)unused;
  return Py_NewRef(self->key.dtype);
}

static PyGetSetDef map_getset[] = {
  {"key_dtype", (getter)map_key_dtype, NULL, "The declared type of the keys; None for dynamic keys.", NULL},
  {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef map_methods[] = {
  {"put", (PyCFunction)(void (*)(void))map_put, METH_FASTCALL, "put(key, value): sets an entry."},
  {"put_json", (PyCFunction)(void (*)(void))map_put_json, METH_FASTCALL,
   "put_json(key, value): sets an entry to a JSON-serialisable value: with dtype str or bytes as JSON text, otherwise as "
   "json.loads would give it."},
  {"get", (PyCFunction)(void (*)(void))map_get, METH_FASTCALL | METH_KEYWORDS,
   "get(key, default=None): the entry's value, or the default when there is none."},
  {"remove", (PyCFunction)map_remove, METH_O, "Removes an entry; whether there was one."},
  {"contains", (PyCFunction)map_contains_method, METH_O, "Whether there is such an entry."},
  {"items", (PyCFunction)map_items, METH_NOARGS, "A new list of (key, value), in key order."},
  {"keys", (PyCFunction)map_keys, METH_NOARGS, "A new list of the keys, in order."},
  {"values", (PyCFunction)map_values, METH_NOARGS, "A new list of the values, in key order."},
  {"range", (PyCFunction)(void (*)(void))map_range, METH_VARARGS | METH_KEYWORDS,
   "range(lo=None, hi=None): a new list of the (key, value) with lo <= key < hi, in key order; None leaves an end open. "
   "Reads no other entry."},
  {"len", (PyCFunction)map_len, METH_NOARGS, "How many entries there are."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot map_slots[] = {
  {Py_tp_doc,
   "MapState(name, key_dtype=None, dtype=None, *, ttl=None)\n\n"
   "A map per key (Flink: MapState), with one entry read or written at a time whatever its size. key_dtype and dtype as in "
   "ValueState; floats are no keys. Without key_dtype a key is None, bool, int (64 bits), str, bytes or a tuple of these, "
   "told apart by type and value: 1, True and '1' are three keys. A map also reads as a mapping: in, [], len(), iteration.\n\n"
   "items(), keys(), values() and iteration give what is there at that moment, in the order of the keys' bytes (by type; "
   "numbers by value, text and bytes byte by byte): changing the map meanwhile is safe. With a ttl entries expire one by "
   "one."},
  {Py_tp_new, map_create},
  {Py_tp_dealloc, map_dealloc},
  {Py_tp_traverse, map_traverse},
  {Py_tp_clear, state_tp_clear},
  {Py_tp_getset, map_getset},
  {Py_tp_methods, map_methods},
  {Py_tp_iter, map_iter},
  {Py_mp_length, map_length},
  {Py_mp_subscript, map_subscript},
  {Py_mp_ass_subscript, map_assign},
  {Py_sq_contains, map_contains},
  {0, NULL}};

static PyType_Spec map_spec = {.name = "martlet._engine.MapState",
                               .basicsize = sizeof(map_state_object),
                               .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                               .slots = map_slots};

static PyType_Slot broadcast_slots[] = {
  {Py_tp_doc,
   "BroadcastState(name, key_dtype=None, dtype=None)\n\n"
   "A map of an operator over a broadcast (Flink: broadcast state): one for all keys, the same on every parallel instance. "
   "on_broadcast writes it: put, remove, clear; everything else reads it, and a write there is a StateAccessError that "
   "changes nothing. Types, order and methods are those of MapState; nothing in it expires."},
  {Py_tp_new, broadcast_create},
  {Py_tp_dealloc, map_dealloc},
  {Py_tp_traverse, map_traverse},
  {Py_tp_clear, state_tp_clear},
  {Py_tp_getset, map_getset},
  {Py_tp_methods, map_methods},
  {Py_tp_iter, map_iter},
  {Py_mp_length, map_length},
  {Py_mp_subscript, map_subscript},
  {Py_mp_ass_subscript, map_assign},
  {Py_sq_contains, map_contains},
  {0, NULL}};

static PyType_Spec broadcast_spec = {.name = "martlet._engine.BroadcastState",
                                     .basicsize = sizeof(map_state_object),
                                     .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                                     .slots = broadcast_slots};

int state_map_init(PyObject *module, engine_state *st) {
  PyTypeObject *map = state_add_kind(module, st, &map_spec);
  PyTypeObject *broadcast = map ? state_add_kind(module, st, &broadcast_spec) : NULL;
  int result = map && broadcast ? 0 : -1;
  Py_XDECREF(map);
  Py_XDECREF(broadcast);
  return result;
}
