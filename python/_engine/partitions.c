#include "partitions.h"

#include "arrow.h"
#include "errors.h"

int partition_note(source_partitions *self) {
  if (!self->reading) return 0;
  Py_XSETREF(self->last, PyObject_GetAttrString(self->reading, "partition"));
  return self->last ? self->last != Py_None : -1;
}

void partition_tell(const source_partitions *self, const char **name, size_t *length, int32_t *is_last) {
  *name = NULL;
  if (!self->last || self->last == Py_None) return;
  PyObject *bytes = PyTuple_GET_ITEM(self->last, 0);
  *name = PyBytes_AS_STRING(bytes);
  *length = (size_t)PyBytes_GET_SIZE(bytes);
  *is_last = PyTuple_GET_ITEM(self->last, 1) == Py_True;
}

int partition_give_empty(engine_state *st, const struct ArrowSchema *item, struct ArrowArray *array,
                         struct ArrowSchema *schema) {
  struct ArrowSchema copy;
  martlet_builder *builder;
  martlet_batch *batch;
  martlet_error error;
  if (arrow_schema_copy(item, &copy) < 0) return -1;
  int32_t status = martlet_builder_create(&copy, &builder, &error);
  if (status == MARTLET_OK) {
    status = martlet_builder_finish(builder, &batch, &error);
    martlet_builder_free(builder);
  }
  if (status == MARTLET_OK) {
    status = martlet_batch_export(batch, 0, 0, array, &error);
    martlet_batch_release(batch);
  }
  if (status != MARTLET_OK) return errors_raise(st, status, &error);
  if (arrow_schema_copy(item, &copy) < 0) {
    arrow_array_release(array);
    return -1;
  }
  *schema = copy;
  return 1;
}
