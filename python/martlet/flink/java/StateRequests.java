package martlet.flink;

import java.lang.reflect.Field;
import java.util.concurrent.CompletionStage;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.ProcessBundleRequest.CacheToken;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.StateRequest;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.StateResponse;
import org.apache.beam.runners.fnexecution.state.StateRequestHandler;
import org.apache.flink.python.PythonFunctionRunner;
import org.apache.flink.streaming.api.runners.python.beam.BeamPythonFunctionRunner;

/**
 * What Python asks of a task's state, answered until the task ends.
 *
 * <p>PyFlink 2.3 answers by threads of its own, while the thread of a task that is cancelled frees the state. RocksDB then works in
 * memory that is gone, and the process ends with SIGSEGV: with two tasks of which one fails, once in 41 runs on a busy machine.
 */
final class StateRequests implements StateRequestHandler {
  private final StateRequestHandler handler;
  private boolean hasEnded;

  private StateRequests(StateRequestHandler handler) {
    this.handler = handler;
  }

  /** Puts itself between a runner that was opened, and has no bundle yet, and its state; null if it has none. */
  static StateRequests of(PythonFunctionRunner runner) throws ReflectiveOperationException {
    Field field = BeamPythonFunctionRunner.class.getDeclaredField("stateRequestHandler");
    field.setAccessible(true);
    StateRequestHandler handler = (StateRequestHandler) field.get(runner);
    if (handler == null) {
      return null;
    }
    StateRequests requests = new StateRequests(handler);
    field.set(runner, requests);
    return requests;
  }

  @Override
  public synchronized CompletionStage<StateResponse.Builder> handle(StateRequest request) throws Exception {
    if (hasEnded) {
      throw new IllegalStateException("the task has ended, and its state is gone");
    }
    return handler.handle(request);
  }

  @Override
  public Iterable<CacheToken> getCacheTokens() {
    return handler.getCacheTokens();
  }

  /** Waits for what is being answered; from here on nothing is. */
  synchronized void end() {
    hasEnded = true;
  }
}
