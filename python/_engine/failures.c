#include "failures.h"

#include "errors.h"
#include "job.h"

static void take_text(PyObject *texts, Py_ssize_t i, const char **start, size_t *length) {
  PyObject *text = PyTuple_GET_ITEM(texts, i);
  if (!PyBytes_Check(text)) return;
  *start = PyBytes_AS_STRING(text);
  *length = (size_t)PyBytes_GET_SIZE(text);
}

/* The hook is Python (martlet.failures): it logs, and gives (type, message, traceback) as UTF-8. */
void on_failure(void *context, martlet_context *call, martlet_failure *details) {
  operator_object *self = context;
  PyObject *exception = self->job->pending;
  self->job->pending = NULL;
  if (!exception) return;
  PyObject *record = call->timer_domain ? Py_NewRef(Py_None) : PyLong_FromLongLong(call->record);
  PyObject *hook = self->job->on_failure, *texts = NULL;
  PyObject *side = PyUnicode_FromString(operator_side_word(self, call));
  if (record && hook && side)
    texts =
      PyObject_CallFunctionObjArgs(hook, exception, self->name, record, self->key ? self->key : Py_None, side, NULL);
  Py_XDECREF(side);
  if (texts && PyTuple_Check(texts) && PyTuple_GET_SIZE(texts) == 3) {
    take_text(texts, 0, &details->error_type, &details->error_type_length);
    take_text(texts, 1, &details->message, &details->message_length);
    take_text(texts, 2, &details->traceback, &details->traceback_length);
  }
  if (PyErr_Occurred()) {
    /* An interrupt that came while the failure was logged must stop the run: the next batch looks for it. */
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
      PyErr_Clear();
      PyErr_SetInterrupt();
    } else PyErr_WriteUnraisable(hook);
  }
  Py_XSETREF(self->failure, texts);
  Py_XDECREF(record);
  Py_DECREF(exception);
}
