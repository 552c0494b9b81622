package martlet.flink;

import java.lang.reflect.Field;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.OperatorStateStore;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.streaming.api.operators.collect.CollectSinkOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.StreamTask;

/**
 * Flink's operator that hands results to the program, right for jobs that go on from another one's savepoint.
 *
 * <p>It keeps what has not been fetched in its state. A savepoint has that too, though the program that was running then gets it: a job with
 * another submission begins with nothing to hand over.
 *
 * <p>A job that is stopped with a savepoint goes on for a moment after it: sources send a last watermark, which fires timers, and so do clocks.
 * The job that starts from the savepoint does the same again. Such results are left out. (Sinks with transactions do not commit them.)
 */
public final class ResultsSink extends CollectSinkOperator<byte[]> {
  private static final long serialVersionUID = 1L;

  private final String submission;
  // Of the task: the savepoint that it is stopped with, null while it is not. Flink tells operators of it in no other way.
  private transient Field stopping;

  public ResultsSink(TypeSerializer<byte[]> serializer, long batchBytes, String submission) {
    super(serializer, batchBytes, submission);
    this.submission = submission;
  }

  @Override
  public void initializeState(StateInitializationContext context) throws Exception {
    OperatorStateStore store = context.getOperatorStateStore();
    ListState<String> owner = store.getListState(new ListStateDescriptor<>("martlet.submission", String.class));
    boolean isOurs = false;
    for (String name : owner.get()) {
      isOurs |= name.equals(submission);
    }
    if (!isOurs) {
      // The names that CollectSinkFunction gives them.
      store.getListState(new ListStateDescriptor<>("bufferState", BytePrimitiveArraySerializer.INSTANCE)).clear();
      store.getListState(new ListStateDescriptor<>("offsetState", Long.class)).clear();
    }
    owner.update(java.util.List.of(submission));
    super.initializeState(context);
  }

  @Override
  public void open() throws Exception {
    super.open();
    stopping = StreamTask.class.getDeclaredField("syncSavepoint");
    stopping.setAccessible(true);
  }

  @Override
  public void processElement(StreamRecord<byte[]> element) throws Exception {
    if (stopping.get(getContainingTask()) == null) {
      super.processElement(element);
    }
  }
}
