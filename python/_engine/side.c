#include "side.h"

#include "emit.h"
#include "errors.h"
#include "operator.h"

void sides_end(context_object *self) {
  for (Py_ssize_t i = 0; i < self->n_sides; i++) {
    emission_end(&self->sides[i]->emission);
    Py_DECREF(self->sides[i]->tag);
    PyMem_Free(self->sides[i]);
  }
  PyMem_Free((void *)self->sides);
  self->sides = NULL;
  self->n_sides = 0;
}

void sides_forget_columns(context_object *self) {
  emission_forget_columns(&self->emission);
  for (Py_ssize_t i = 0; i < self->n_sides; i++) emission_forget_columns(&self->sides[i]->emission);
}

static side_emission *add_side(context_object *self, PyObject *tag) {
  engine_state *st = self->operator->st;
  martlet_output *output;
  martlet_error error;
  Py_ssize_t length;
  const char *text = PyUnicode_AsUTF8AndSize(tag, &length);
  if (!text) return NULL;
  if (strlen(text) != (size_t)length) {
    PyErr_SetString(errors_class(st, MARTLET_INVALID_ARGUMENT), "the tag of a side output has no NUL character");
    return NULL;
  }
  int32_t status = martlet_context_side_output(self->call, text, &output, &error);
  if (status != MARTLET_OK) {
    errors_raise(st, status, &error);
    return NULL;
  }
  side_emission **sides = PyMem_Realloc((void *)self->sides, ((size_t)self->n_sides + 1) * sizeof *sides);
  if (sides) self->sides = sides;
  side_emission *side = sides ? PyMem_Calloc(1, sizeof *side) : NULL;
  if (!side) {
    PyErr_NoMemory();
    return NULL;
  }
  side->tag = Py_NewRef(tag);
  side->emission.output = output;
  side->emission.n_columns = -1;
  return self->sides[self->n_sides++] = side;
}

static side_emission *find_side(context_object *self, PyObject *tag) {
  for (Py_ssize_t i = 0; i < self->n_sides; i++)
    if (self->sides[i]->tag == tag) return self->sides[i];
  if (!PyUnicode_Check(tag)) {
    PyErr_Format(PyExc_TypeError, "emit_to() takes the tag of a side output, a str, first, got %s",
                 Py_TYPE(tag)->tp_name);
    return NULL;
  }
  for (Py_ssize_t i = 0; i < self->n_sides; i++) {
    int equal = PyObject_RichCompareBool(self->sides[i]->tag, tag, Py_EQ);
    if (equal) return equal < 0 ? NULL : self->sides[i];
  }
  return add_side(self, tag);
}

PyObject *context_emit_to(context_object *self, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames) {
  if (context_check(self, "emit_to()") < 0) return NULL;
  if (n_args < 1) {
    PyErr_SetString(PyExc_TypeError, "emit_to() takes the tag of a side output, then what emit() takes");
    return NULL;
  }
  side_emission *side = find_side(self, args[0]);
  if (!side) {
    operator_locate_error(self->operator);
    return NULL;
  }
  return emit_through(self, &side->emission, args + 1, n_args - 1, kwnames);
}
