#include "places.h"

#include <stdio.h>

#include "errors.h"

int places_open(source_places *self, PyObject *how) {
  self->keeping = how == Py_None ? PLACES_NONE : how == Py_True ? PLACES_COUNTED : PLACES_READER;
  self->reader = self->keeping == PLACES_READER ? how : NULL;
  return places_note(self, false);
}

void places_end_item(source_places *self) {
  self->items++;
  self->rows = 0;
}

int places_note(source_places *self, bool in_item) {
  PyObject *bytes = NULL;
  switch (self->keeping) {
    case PLACES_NONE: return 0;
    case PLACES_COUNTED: {
      char text[64];
      int length =
        snprintf(text, sizeof text, "[%lld,%lld]", (long long)self->items, (long long)(in_item ? self->rows : 0));
      bytes = PyBytes_FromStringAndSize(text, length);
      break;
    }
    case PLACES_READER: {
      PyObject *rows = in_item ? PyLong_FromLongLong(self->rows) : Py_NewRef(Py_None);
      bytes = rows ? PyObject_CallMethod(self->reader, "place", "O", rows) : NULL;
      Py_XDECREF(rows);
      break;
    }
  }
  if (bytes && !PyBytes_Check(bytes)) {
    PyErr_Format(PyExc_TypeError, "a place is bytes, got %s", Py_TYPE(bytes)->tp_name);
    Py_CLEAR(bytes);
  }
  Py_XSETREF(self->bytes, bytes);
  return bytes ? 0 : -1;
}

static int not_a_place(engine_state *st, PyObject *source_name) {
  PyErr_Format(errors_class(st, MARTLET_SOURCE_FAILED),
               "stream '%U': the checkpoint was taken with a source of another kind; give the job the source it had",
               source_name);
  return -1;
}

static int seek_counted(engine_state *st, source_places *self, PyObject *source_name, PyObject *place, int64_t *items) {
  PyObject *pair = PyObject_CallOneArg(st->json_loads, place);
  long long n = -1, rows = -1;
  if (pair && PyList_Check(pair) && PyList_GET_SIZE(pair) == 2) {
    n = PyLong_AsLongLong(PyList_GET_ITEM(pair, 0));
    rows = PyLong_AsLongLong(PyList_GET_ITEM(pair, 1));
  }
  Py_XDECREF(pair);
  if (n < 0 || rows < 0) {
    PyErr_Clear();
    return not_a_place(st, source_name);
  }
  *items = self->items = n;
  self->rows = self->skip = rows;
  return 0;
}

int places_seek(engine_state *st, source_places *self, PyObject *source_name, const uint8_t *bytes, size_t length,
                int64_t *items) {
  PyObject *place = PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)length);
  int result = -1;
  *items = 0;
  if (place && self->keeping == PLACES_COUNTED) result = seek_counted(st, self, source_name, place, items);
  else if (place && self->keeping == PLACES_READER) {
    PyObject *rows = PyObject_CallMethod(self->reader, "seek", "O", place);
    self->rows = self->skip = rows ? PyLong_AsLongLong(rows) : -1;
    result = rows && !PyErr_Occurred() ? 0 : -1;
    Py_XDECREF(rows);
  } else if (place) not_a_place(st, source_name);
  if (result == 0) Py_XSETREF(self->bytes, Py_NewRef(place));
  Py_XDECREF(place);
  return result;
}

void places_close(source_places *self) { Py_CLEAR(self->bytes); }
