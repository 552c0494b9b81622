/* `ListState`: a list per key. */
#include "binding.h"
#include "errors.h"
#include "items.h"
#include "keeper.h"

static int refuse_none(state_object *self, state_binding *binding) {
  PyErr_Format(state_of((PyObject *)self)->state_type_error,
               "state '%U' cannot store None as an element of a list; leave it out, or store a marker of your own",
               self->name);
  return state_locate(binding);
}

static PyObject *add_with(state_object *self, PyObject *value, values_rules rules) {
  state_binding *binding = state_bound(self);
  martlet_error error;
  if (!binding) return NULL;
  if (value == Py_None) {
    refuse_none(self, binding);
    return NULL;
  }
  item item;
  item_init(&item);
  int result =
    item_from_python(state_of((PyObject *)self), self->name, &self->value, "element of state", rules, value, &item);
  if (result < 0) state_locate(binding);
  else {
    int32_t status = martlet_list_add(binding->handle, &item.value, &error);
    result = status == MARTLET_OK ? keeper_after(self, binding, KEEPER_APPENDED, NULL)
                                  : state_failed(self, binding, status, &error);
  }
  item_release(&item);
  return result < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *list_add(state_object *self, PyObject *value) { return add_with(self, value, VALUES_ANY); }
static PyObject *list_add_json(state_object *self, PyObject *value) { return add_with(self, value, VALUES_JSON); }

/* Converts all before any is stored, so that one that does not fit leaves the list as it was. */
static PyObject *store_all(state_object *self, PyObject *values,
                           int32_t (*store)(martlet_state *, const martlet_value *, int64_t, martlet_error *)) {
  state_binding *binding = state_bound(self);
  martlet_error error;
  if (!binding) return NULL;
  if (values == Py_None || PyUnicode_Check(values) || PyBytes_Check(values)) {
    PyErr_Format(state_of((PyObject *)self)->state_type_error,
                 "state '%U' is a list: expected an iterable of elements, got %s", self->name, Py_TYPE(values)->tp_name);
    state_locate(binding);
    return NULL;
  }
  PyObject *sequence = PySequence_Fast(values, "expected an iterable of elements");
  if (!sequence) return NULL;
  /* A tuple of its own: converting an element may run code that changes a list. */
  PyObject *elements = PySequence_Tuple(sequence);
  Py_DECREF(sequence);
  if (!elements) return NULL;
  Py_ssize_t n = PyTuple_GET_SIZE(elements), converted = 0;
  item *items = PyMem_Malloc(((size_t)n + 1) * sizeof *items);
  martlet_value *plain = PyMem_Malloc(((size_t)n + 1) * sizeof *plain);
  int result = items && plain ? 0 : -1;
  if (result < 0) PyErr_NoMemory();
  while (result == 0 && converted < n) {
    PyObject *element = PyTuple_GET_ITEM(elements, converted);
    item *item = &items[converted++];
    item_init(item);
    if (element == Py_None) result = refuse_none(self, binding);
    else {
      result = item_from_python(state_of((PyObject *)self), self->name, &self->value, "element of state", VALUES_ANY,
                                element, item);
      if (result < 0) state_locate(binding);
    }
    plain[converted - 1] = item->value;
  }
  if (result == 0 && (binding = state_bound(self))) {
    int32_t status = store(binding->handle, plain, n, &error);
    keeper_scope scope = store == martlet_list_extend ? KEEPER_APPENDED : KEEPER_WHOLE;
    result = status == MARTLET_OK ? keeper_after(self, binding, scope, NULL)
                                  : state_failed(self, binding, status, &error);
  }
  while (converted > 0) item_release(&items[--converted]);
  PyMem_Free(items);
  PyMem_Free(plain);
  Py_DECREF(elements);
  return result < 0 || !binding ? NULL : Py_NewRef(Py_None);
}

static PyObject *list_extend(state_object *self, PyObject *values) { return store_all(self, values, martlet_list_extend); }
static PyObject *list_set(state_object *self, PyObject *values) { return store_all(self, values, martlet_list_set); }

typedef struct collection {
  engine_state *st;
  const item_type *type;
  PyObject *list;
} collection;

static int32_t collect(void *context, const martlet_value *element) {
  collection *into = context;
  PyObject *value = item_to_python(into->st, into->type, element);
  int result = value ? PyList_Append(into->list, value) : -1;
  Py_XDECREF(value);
  return result;
}

static PyObject *list_get(state_object *self, PyObject *unused) {
  (void)unused;
  state_binding *binding = state_bound(self);
  martlet_error error;
  if (!binding || keeper_before(self, binding, KEEPER_WHOLE, NULL) < 0) return NULL;
  collection into = {state_of((PyObject *)self), &self->value, PyList_New(0)};
  if (!into.list) return NULL;
  int32_t status = martlet_list_visit(binding->handle, collect, &into, &error);
  if (status == MARTLET_OK) return into.list;
  Py_DECREF(into.list);
  if (!PyErr_Occurred()) state_failed(self, binding, status, &error);
  return NULL;
}

static Py_ssize_t list_length(state_object *self) {
  state_binding *binding = state_bound(self);
  martlet_error error;
  int64_t length;
  if (!binding || keeper_before(self, binding, KEEPER_WHOLE, NULL) < 0) return -1;
  int32_t status = martlet_list_len(binding->handle, &length, &error);
  return status == MARTLET_OK ? (Py_ssize_t)length : state_failed(self, binding, status, &error);
}

static PyObject *list_len(state_object *self, PyObject *unused) {
  (void)unused;
  Py_ssize_t length = list_length(self);
  return length < 0 ? NULL : PyLong_FromSsize_t(length);
}

static PyObject *list_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"name", "dtype", "ttl", NULL};
  PyObject *name, *dtype = Py_None, *ttl = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O$O:ListState", (char **)(void *)keywords, &name, &dtype, &ttl))
    return NULL;
  return (PyObject *)state_declare(type, MARTLET_STATE_LIST, args, kwargs, name, dtype, ttl);
}

static PyMethodDef list_methods[] = {
  {"add", (PyCFunction)list_add, METH_O, "Appends an element; None is a StateTypeError."},
  {"add_json", (PyCFunction)list_add_json, METH_O,
   "Appends a JSON-serialisable value: with dtype str or bytes as JSON text, otherwise as json.loads would give it."},
  {"extend", (PyCFunction)list_extend, METH_O, "Appends the elements of an iterable; if one does not fit, none."},
  {"get", (PyCFunction)list_get, METH_NOARGS, "The elements as a new list, in the order they were added."},
  {"set", (PyCFunction)list_set, METH_O,
   "Replaces the list by the elements of an iterable; if one does not fit, nothing changes."},
  {"len", (PyCFunction)list_len, METH_NOARGS, "How many elements there are."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot list_slots[] = {
  {Py_tp_doc,
   "ListState(name, dtype=None, *, ttl=None)\n\n"
   "A list per key (Flink: ListState). dtype is the elements' type, as in ValueState. With a ttl elements expire one by "
   "one. get() is a new list: changing it changes nothing."},
  {Py_tp_new, list_create},
  {Py_tp_dealloc, state_dealloc},
  {Py_tp_traverse, state_traverse},
  {Py_tp_clear, state_tp_clear},
  {Py_tp_methods, list_methods},
  {Py_sq_length, list_length},
  {0, NULL}};

static PyType_Spec list_spec = {.name = "martlet._engine.ListState",
                                .basicsize = sizeof(state_object),
                                .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                                .slots = list_slots};

int state_list_init(PyObject *module, engine_state *st) {
  PyTypeObject *type = state_add_kind(module, st, &list_spec);
  Py_XDECREF(type);
  return type ? 0 : -1;
}
