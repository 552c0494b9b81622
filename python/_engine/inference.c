#include "inference.h"

#include <stdlib.h>

#include "arrow.h"
#include "decimals.h"
#include "errors.h"
#include "temporal.h"

typedef enum inferred_kind {
  INFERRED_NULL,
  INFERRED_BOOL,
  INFERRED_INT,
  INFERRED_FLOAT,
  INFERRED_TEXT,
  INFERRED_BINARY,
  INFERRED_DATETIME,
  INFERRED_AWARE_DATETIME,
  INFERRED_DATE,
  INFERRED_TIME,
  INFERRED_TIMEDELTA,
  INFERRED_DECIMAL,
  INFERRED_LIST,
  INFERRED_STRUCT
} inferred_kind;

static const char *const kind_names[] = {
  "null", "bool", "int",       "float",   "str",  "bytes", "naive datetime", "datetime with a time zone",
  "date", "time", "timedelta", "Decimal", "list", "dict"};
static const char *const formats[] = {
  "n", "b", "l", "g", "u", "z", "tsu:", "tsu:UTC", "tdD", "ttu", "tDu", NULL, "+l", "+s"};

struct inferred {
  inferred_kind kind;
  int32_t scale;  /* decimal */
  int64_t digits; /* decimal: before the point */
  int64_t n;      /* list: at most one item; struct: fields */
  char **names;
  inferred **children;
};

inferred *inferred_new(void) {
  inferred *node = calloc(1, sizeof *node);
  if (!node) PyErr_NoMemory();
  return node;
}

void inferred_free(inferred *node) {
  if (!node) return;
  for (int64_t i = 0; i < node->n; i++) {
    free(node->names[i]);
    inferred_free(node->children[i]);
  }
  free(node->names);
  free(node->children);
  free(node);
}

static inferred *add_child(inferred *node, const char *name) {
  char **names = realloc(node->names, (size_t)(node->n + 1) * sizeof *names);
  if (names) node->names = names;
  inferred **children = realloc(node->children, (size_t)(node->n + 1) * sizeof *children);
  if (children) node->children = children;
  inferred *child = inferred_new();
  char *copy = malloc(strlen(name) + 1);
  if (!names || !children || !child || !copy) {
    inferred_free(child);
    free(copy);
    PyErr_NoMemory();
    return NULL;
  }
  node->names[node->n] = strcpy(copy, name);
  node->children[node->n++] = child;
  return child;
}

inferred *inferred_field(engine_state *st, inferred *node, PyObject *name) {
  Py_ssize_t length;
  node->kind = INFERRED_STRUCT;
  if (!PyUnicode_Check(name)) {
    PyErr_Format(errors_class(st, MARTLET_SCHEMA_MISMATCH), "a column's name is a str, got %s %R",
                 Py_TYPE(name)->tp_name, name);
    return NULL;
  }
  const char *text = PyUnicode_AsUTF8AndSize(name, &length);
  if (!text) return NULL;
  if (strlen(text) != (size_t)length) {
    PyErr_Format(errors_class(st, MARTLET_SCHEMA_MISMATCH), "a column's name contains a NUL character: %R", name);
    return NULL;
  }
  for (int64_t i = 0; i < node->n; i++)
    if (!strcmp(node->names[i], text)) return node->children[i];
  return add_child(node, text);
}

/* The kind of a Python value, or -1 for what has no Arrow type. */
static int kind_of(engine_state *st, PyObject *value) {
  if (value == Py_None) return INFERRED_NULL;
  if (PyBool_Check(value)) return INFERRED_BOOL;
  if (PyLong_Check(value)) return INFERRED_INT;
  if (PyFloat_Check(value)) return INFERRED_FLOAT;
  if (PyUnicode_Check(value)) return INFERRED_TEXT;
  if (PyDict_Check(value)) return INFERRED_STRUCT;
  if (PyList_Check(value) || PyTuple_Check(value)) return INFERRED_LIST;
  if (temporal_is_datetime(st, value)) return temporal_is_aware(value) ? INFERRED_AWARE_DATETIME : INFERRED_DATETIME;
  if (temporal_is_date(st, value)) return INFERRED_DATE;
  if (temporal_is_time(st, value)) return INFERRED_TIME;
  if (temporal_is_timedelta(st, value)) return INFERRED_TIMEDELTA;
  int is_decimal = PyObject_IsInstance(value, st->decimal);
  if (is_decimal) return is_decimal < 0 ? -1 : INFERRED_DECIMAL;
  const char *name = Py_TYPE(value)->tp_name;
  if (!strcmp(name, "numpy.bool") || !strcmp(name, "numpy.bool_")) return INFERRED_BOOL;
  if (!strncmp(name, "numpy.", 6) && strcmp(name, "numpy.ndarray")) {
    if (PyIndex_Check(value)) return INFERRED_INT;
    if (Py_TYPE(value)->tp_as_number && Py_TYPE(value)->tp_as_number->nb_float && !strncmp(name, "numpy.float", 11))
      return INFERRED_FLOAT;
  }
  if (PyBytes_Check(value) || PyByteArray_Check(value) || PyMemoryView_Check(value)) return INFERRED_BINARY;
  return -1;
}

static int merge_kind(engine_state *st, inferred *node, const char *where, PyObject *value, int kind) {
  if (kind == INFERRED_NULL || (int)node->kind == kind) return 0;
  if (node->kind == INFERRED_NULL ||
      (node->kind == INFERRED_INT && (kind == INFERRED_FLOAT || kind == INFERRED_DECIMAL))) {
    if (node->kind == INFERRED_INT && kind == INFERRED_DECIMAL) node->digits = 19;
    node->kind = (inferred_kind)kind;
    return 0;
  }
  if (kind == INFERRED_INT && (node->kind == INFERRED_FLOAT || node->kind == INFERRED_DECIMAL)) {
    if (node->kind == INFERRED_DECIMAL && node->digits < 19) node->digits = 19;
    return 0;
  }
  PyObject *preview = errors_preview(value);
  PyErr_Format(errors_class(st, MARTLET_SCHEMA_MISMATCH),
               "%s: values of %s and %s (%V) have no common type; convert one of them", where, kind_names[node->kind],
               kind_names[kind], preview, "?");
  Py_XDECREF(preview);
  return -1;
}

static int add_decimal(engine_state *st, inferred *node, const char *where, PyObject *value) {
  int64_t digits, scale;
  if (!decimal_shape(value, &digits, &scale)) {
    if (!PyErr_Occurred())
      PyErr_Format(errors_class(st, MARTLET_VALUE_RANGE), "%s: %R is not finite and has no place in a decimal column",
                   where, value);
    return -1;
  }
  if (digits > node->digits) node->digits = digits;
  if (scale > node->scale && scale <= 76) node->scale = (int32_t)scale;
  if (scale > 76 || node->digits + node->scale > 76) {
    PyErr_Format(errors_class(st, MARTLET_VALUE_RANGE), "%s: %R has more digits than a decimal column holds (76)",
                 where, value);
    return -1;
  }
  return 0;
}

int inferred_add(engine_state *st, inferred *node, const char *where, PyObject *value) {
  int kind = kind_of(st, value);
  if (kind < 0) {
    if (PyErr_Occurred()) return -1;
    PyObject *preview = errors_preview(value);
    PyErr_Format(errors_class(st, MARTLET_SCHEMA_MISMATCH), "%s: a value of type %s has no Arrow type: %V", where,
                 Py_TYPE(value)->tp_name, preview, "?");
    Py_XDECREF(preview);
    return -1;
  }
  if (merge_kind(st, node, where, value, kind) < 0) return -1;
  if (kind == INFERRED_DECIMAL) return add_decimal(st, node, where, value);
  if (kind != INFERRED_LIST && kind != INFERRED_STRUCT) return 0;
  if (Py_EnterRecursiveCall(" while inferring the type of a nested value")) return -1;
  int result = 0;
  if (kind == INFERRED_LIST) {
    inferred *item = node->n ? node->children[0] : add_child(node, "item");
    if (!item) result = -1;
    for (Py_ssize_t i = 0; result == 0 && i < PySequence_Fast_GET_SIZE(value); i++)
      result = inferred_add(st, item, where, PySequence_Fast_GET_ITEM(value, i));
  } else {
    PyObject *name, *item;
    Py_ssize_t at = 0;
    while (result == 0 && PyDict_Next(value, &at, &name, &item)) {
      inferred *field = inferred_field(st, node, name);
      result = field ? inferred_add(st, field, where, item) : -1;
    }
  }
  Py_LeaveRecursiveCall();
  return result;
}

int inferred_schema(const inferred *node, const char *name, struct ArrowSchema *out) {
  char decimal[40];
  const char *format = formats[node->kind];
  if (node->kind == INFERRED_DECIMAL) {
    bool wide = node->digits + node->scale > 38;
    PyOS_snprintf(decimal, sizeof decimal, wide ? "d:76,%d,256" : "d:38,%d", node->scale);
    format = decimal;
  }
  if (arrow_schema_init(out, format, name, ARROW_FLAG_NULLABLE, node->n) < 0) return -1;
  for (int64_t i = 0; i < node->n; i++) {
    if (inferred_schema(node->children[i], node->names[i], out->children[i]) < 0) {
      arrow_schema_release(out);
      return -1;
    }
  }
  return 0;
}
