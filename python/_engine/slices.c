#include "slices.h"

#include "batch.h"

/* The view for this call: the one of the last call moved on, if the user did not keep it. */
static batch_object *slice_for(operator_object *self, operator_input *input, const martlet_context *call) {
  batch_object *slice = input->slice;
  if (slice && slice->rows.batch == call->batch) {
    slice->rows.offset = call->row;
    slice->rows.length = call->rows;
    return slice;
  }
  Py_CLEAR(input->slice);
  slice = (batch_object *)batch_view(self->st, call->batch, call->row, call->rows, input->names, input->index);
  if (!slice) return NULL;
  Py_XSETREF(input->names, Py_NewRef(slice->rows.names));
  Py_XSETREF(input->index, Py_NewRef(slice->rows.index));
  return input->slice = slice;
}

int32_t on_batch(void *context, martlet_context *call, martlet_error *error) {
  operator_object *self = context;
  operator_input *input = operator_input_of(self, call);
  batch_object *slice = operator_read_key(self, call) < 0 ? NULL : slice_for(self, input, call);
  if (!slice) return operator_fail(self, call, NULL, error);
  PyObject *arguments[5] = {NULL, self->target, self->key, (PyObject *)slice, (PyObject *)self->context};
  size_t skip = self->on_batch.takes_self ? 1 : 2;
  PyObject *result =
    PyObject_Vectorcall(self->on_batch.call, arguments + skip, (5 - skip) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
  if (!result) {
    int32_t status = operator_fail(self, call, NULL, error);
    Py_CLEAR(input->slice);
    return status;
  }
  Py_DECREF(result);
  if (Py_REFCNT(slice) != 1) Py_CLEAR(input->slice); /* kept: it stays as it is, and belongs to the user now */
  return MARTLET_OK;
}
