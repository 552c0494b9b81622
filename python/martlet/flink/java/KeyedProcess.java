package martlet.flink;

import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.typeutils.RowTypeInfo;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.functions.python.DataStreamPythonFunctionInfo;
import org.apache.flink.streaming.api.operators.python.process.ExternalPythonKeyedProcessOperator;

/**
 * PyFlink's operator for keyed functions, whose timers are in every checkpoint, and whose state is not read once it is gone.
 *
 * <p>Timers that a Python function registers reach the timer service a little later. PyFlink 2.3 takes a checkpoint after the
 * functions have seen all records before it, and does not wait for their timers: after a restore these are lost.
 */
public final class KeyedProcess<OUT> extends ExternalPythonKeyedProcessOperator<OUT> {
  private static final long serialVersionUID = 1L;
  private transient StateRequests requests;

  public KeyedProcess(
      Configuration config, DataStreamPythonFunctionInfo function, RowTypeInfo input, TypeInformation<OUT> output) {
    super(config, function, input, output);
  }

  @Override
  public void open() throws Exception {
    super.open();
    requests = StateRequests.of(pythonFunctionRunner);
  }

  @Override
  public void close() throws Exception {
    if (requests != null) {
      requests.end();
    }
    super.close();
  }

  @Override
  public void prepareSnapshotPreBarrier(long checkpointId) throws Exception {
    super.prepareSnapshotPreBarrier(checkpointId);
    drainUnregisteredTimers();
  }
}
