/* timers.h: the methods of `ctx` that have to do with timers, and `Timer`, what ctx.timers() lists. */
#ifndef MARTLET_PY_TIMERS_H
#define MARTLET_PY_TIMERS_H

#include "context.h"

int timers_init(PyObject *module, engine_state *st);

PyObject *timers_register_event(context_object *self, PyObject *const *args, Py_ssize_t n, PyObject *names);
PyObject *timers_register_processing(context_object *self, PyObject *const *args, Py_ssize_t n, PyObject *names);
PyObject *timers_delete_event(context_object *self, PyObject *value);
PyObject *timers_delete_processing(context_object *self, PyObject *value);
PyObject *timers_delete_named(context_object *self, PyObject *name);
PyObject *timers_pending(context_object *self, PyObject *name);
PyObject *timers_list(context_object *self, PyObject *unused);

#define TIMER_METHODS                                                                                                 \
  {"register_event_time_timer", (PyCFunction)(void (*)(void))timers_register_event, METH_FASTCALL | METH_KEYWORDS,    \
   "register_event_time_timer(time_ms, *, name=None)\n\n"                                                             \
   "Calls on_timer for the current key once the watermark reaches this time (epoch ms). Registering a time twice "    \
   "fires once. A timer with a name has one pending time per key: registering it again, for either kind of time, "    \
   "moves it."},                                                                                                      \
    {"register_processing_time_timer", (PyCFunction)(void (*)(void))timers_register_processing,                       \
     METH_FASTCALL | METH_KEYWORDS,                                                                                   \
     "register_processing_time_timer(time_ms, *, name=None)\n\n"                                                      \
     "Calls on_timer for the current key once the job's clock has reached this time (epoch ms), also while no input " \
     "comes. What that call emits has no timestamp. Names as for event time."},                                       \
    {"delete_event_time_timer", (PyCFunction)timers_delete_event, METH_O,                                             \
     "Removes the current key's unnamed event-time timer at this time (epoch ms), if there is one."},                 \
    {"delete_processing_time_timer", (PyCFunction)timers_delete_processing, METH_O,                                   \
     "Removes the current key's unnamed processing-time timer at this time (epoch ms), if there is one."},            \
    {"delete_timer", (PyCFunction)timers_delete_named, METH_O,                                                        \
     "Removes the current key's timer of this name, whatever its time, if there is one."},                            \
    {"timer", (PyCFunction)timers_pending, METH_O,                                                                    \
     "timer(name)\n\n"                                                                                                \
     "The pending time of the current key's timer of this name (epoch ms), in whichever kind of time it was "         \
     "registered; None if it is not pending. In on_timer the timer that fires is no longer pending."},                \
  {                                                                                                                   \
    "timers", (PyCFunction)timers_list, METH_NOARGS,                                                                  \
      "The current key's pending timers as a list of (domain, time_ms, name): 'event' before 'processing', each by "  \
      "time, then in order of registration. In on_timer the timer that fires is no longer among them."                \
  }

#endif
