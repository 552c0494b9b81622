package martlet.flink;

import java.lang.reflect.Field;
import java.util.Arrays;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.StreamTask;

/**
 * The last operator before results go to the program: with the name of their submission, 16 bytes, before each.
 *
 * <p>What hands results over keeps those that have not been fetched in its state. A savepoint has them too, though the program that was
 * running then gets them, and a job that starts from it must not give them again: {@link Results} knows them by their stamp.
 *
 * <p>A job that is stopped with a savepoint goes on for a moment after it: sources send a last watermark, which fires timers, and so do clocks.
 * The job that starts from the savepoint does the same again. Such results are left out here. (Sinks with transactions do not commit them.)
 */
public final class Stamp extends AbstractStreamOperator<byte[]> implements OneInputStreamOperator<byte[], byte[]> {
  private static final long serialVersionUID = 1L;
  static final int SIZE = 16;

  private final byte[] name;
  // Of the task: the savepoint that it is stopped with, null while it is not. Flink tells operators of it in no other way.
  private transient Field stopping;

  public Stamp(byte[] name) {
    this.name = name;
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
      byte[] result = element.getValue();
      byte[] stamped = Arrays.copyOf(name, SIZE + result.length);
      System.arraycopy(result, 0, stamped, SIZE, result.length);
      output.collect(new StreamRecord<>(stamped));
    }
  }
}
