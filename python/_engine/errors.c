#include "errors.h"

static const char *const status_class_names[MARTLET_STATUS_COUNT] = {
  [MARTLET_OK] = "EngineError",
  [MARTLET_INVALID_ARGUMENT] = "ConfigError",
  [MARTLET_SCHEMA_MISMATCH] = "SchemaError",
  [MARTLET_KEY_TYPE] = "KeyTypeError",
  [MARTLET_NULL_KEY] = "NullKeyError",
  [MARTLET_NULL_TIMESTAMP] = "NullTimestampError",
  [MARTLET_STATE_ACCESS] = "StateAccessError",
  [MARTLET_VALUE_RANGE] = "ValueRangeError",
  [MARTLET_TIMER_LOOP] = "TimerError",
  [MARTLET_CALLBACK_FAILED] = "EngineError",
  [MARTLET_BUSY] = "BusyError",
  [MARTLET_CLOSED] = "ClosedError",
  [MARTLET_SOURCE_FAILED] = "SourceError",
  [MARTLET_UNSUPPORTED_TYPE] = "SchemaError",
  [MARTLET_INTERNAL] = "EngineError",
  [MARTLET_CALLBACK_FATAL] = "EngineError",
  [MARTLET_SNAPSHOT_INVALID] = "SnapshotError",
  [MARTLET_SNAPSHOT_MISMATCH] = "SnapshotMismatchError",
  [MARTLET_MISSING_COLUMN] = "MissingColumnError",
  [MARTLET_WORKER_DIED] = "WorkerDiedError",
  [MARTLET_STORAGE_FAILED] = "StorageError",
  [MARTLET_STORAGE_IN_USE] = "StorageInUseError",
  [MARTLET_STORAGE_CORRUPT] = "StorageCorruptError",
};

int errors_init(engine_state *st) {
  PyObject *module = PyImport_ImportModule("martlet.errors");
  if (!module) return -1;
  for (int i = 0; i < MARTLET_STATUS_COUNT; i++) {
    const char *name = status_class_names[i] ? status_class_names[i] : status_class_names[MARTLET_INTERNAL];
    st->status_errors[i] = PyObject_GetAttrString(module, name);
    if (!st->status_errors[i]) goto fail;
  }
  st->martlet_error = PyObject_GetAttrString(module, "MartletError");
  st->missing_column_error = PyObject_GetAttrString(module, "MissingColumnError");
  st->state_type_error = PyObject_GetAttrString(module, "StateTypeError");
  if (!st->martlet_error || !st->missing_column_error || !st->state_type_error) goto fail;
  Py_DECREF(module);
  return 0;
fail:
  Py_DECREF(module);
  return -1;
}

PyObject *errors_class(engine_state *st, int32_t status) {
  if (status < 0 || status >= MARTLET_STATUS_COUNT) status = MARTLET_INTERNAL;
  return st->status_errors[status];
}

static PyObject *text_or_none(const char *text) {
  if (text[0] == '\0') return Py_NewRef(Py_None);
  return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

int errors_raise(engine_state *st, int32_t status, const martlet_error *error) {
  PyObject *message = NULL, *operator_name = NULL, *record = NULL, *key = NULL, *exception = NULL;
  message = PyUnicode_DecodeUTF8(error->message, (Py_ssize_t)strlen(error->message), "replace");
  operator_name = text_or_none(error->operator_name);
  record = error->record == MARTLET_NO_RECORD ? Py_NewRef(Py_None) : PyLong_FromLongLong(error->record);
  key = text_or_none(error->key);
  if (!message || !operator_name || !record || !key) goto done;
  PyObject *class = errors_class(st, status);
  exception = PyObject_CallOneArg(class, message);
  if (!exception) goto done;
  if (PyObject_SetAttr(exception, st->operator_str, operator_name) < 0 ||
      PyObject_SetAttr(exception, st->record_str, record) < 0 || PyObject_SetAttr(exception, st->key_str, key) < 0)
    goto done;
  PyErr_SetObject(class, exception);
done:
  Py_XDECREF(message);
  Py_XDECREF(operator_name);
  Py_XDECREF(record);
  Py_XDECREF(key);
  Py_XDECREF(exception);
  return -1;
}

static void set_if_none(PyObject *exception, PyObject *name, PyObject *value) {
  if (!value) return;
  PyObject *now = PyObject_GetAttr(exception, name);
  if (now == Py_None && PyObject_SetAttr(exception, name, value) < 0) PyErr_Clear();
  if (!now) PyErr_Clear();
  Py_XDECREF(now);
}

void errors_locate(engine_state *st, PyObject *operator_name, PyObject *record, PyObject *key) {
  if (!PyErr_ExceptionMatches(st->martlet_error)) return;
  PyObject *exception = errors_take();
  set_if_none(exception, st->operator_str, operator_name);
  set_if_none(exception, st->record_str, record);
  set_if_none(exception, st->key_str, key);
  errors_restore(exception);
}

PyObject *errors_take(void) {
#if PY_VERSION_HEX >= 0x030C0000
  return PyErr_GetRaisedException();
#else
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  if (!type) return NULL;
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return value;
#endif
}

void errors_restore(PyObject *exception) {
#if PY_VERSION_HEX >= 0x030C0000
  PyErr_SetRaisedException(exception);
#else
  PyErr_Restore(Py_NewRef(Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
#endif
}

void errors_add_note(PyObject *exception, PyObject *note) {
  PyObject *result = note ? PyObject_CallMethod(exception, "add_note", "O", note) : NULL;
  /* A note is a courtesy: when it cannot be added the exception itself must still get through. */
  if (!result) PyErr_Clear();
  Py_XDECREF(result);
  Py_XDECREF(note);
}

void errors_describe(martlet_error *error) {
  if (!error || !PyErr_Occurred()) return;
  PyObject *exception = errors_take();
  PyObject *text = PyUnicode_FromFormat("%s: %S", Py_TYPE(exception)->tp_name, exception);
  PyObject *bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "replace") : NULL;
  const char *from = bytes ? PyBytes_AS_STRING(bytes) : Py_TYPE(exception)->tp_name;
  size_t length = strlen(from), most = sizeof error->message - 1;
  if (length > most) {
    length = most;
    while (length > 0 && ((unsigned char)from[length] & 0xC0) == 0x80) length--;
  }
  memcpy(error->message, from, length);
  error->message[length] = '\0';
  PyErr_Clear();
  Py_XDECREF(text);
  Py_XDECREF(bytes);
  errors_restore(exception);
}

PyObject *errors_preview(PyObject *value) {
  PyObject *text = PyObject_Repr(value);
  if (text && PyUnicode_GET_LENGTH(text) > 80) {
    PyObject *head = PyUnicode_Substring(text, 0, 79);
    Py_SETREF(text, head ? PyUnicode_FromFormat("%U…", head) : NULL);
    Py_XDECREF(head);
  }
  if (!text) {
    PyErr_Clear();
    text = PyUnicode_FromFormat("<%s>", Py_TYPE(value)->tp_name);
    if (!text) {
      PyErr_Clear();
      text = PyUnicode_New(0, 0);
    }
  }
  return text;
}
