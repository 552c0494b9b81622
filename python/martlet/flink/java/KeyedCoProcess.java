package martlet.flink;

import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.functions.python.DataStreamPythonFunctionInfo;
import org.apache.flink.streaming.api.operators.python.process.ExternalPythonKeyedCoProcessOperator;
import org.apache.flink.types.Row;

/** The same for functions of two inputs, the first of which is keyed; see {@link KeyedProcess}. */
public final class KeyedCoProcess<OUT> extends ExternalPythonKeyedCoProcessOperator<OUT> {
  private static final long serialVersionUID = 1L;
  private transient StateRequests requests;

  public KeyedCoProcess(
      Configuration config,
      DataStreamPythonFunctionInfo function,
      TypeInformation<Row> left,
      TypeInformation<Row> right,
      TypeInformation<OUT> output) {
    super(config, function, left, right, output);
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
