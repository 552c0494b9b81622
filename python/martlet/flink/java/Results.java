package martlet.flink;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;

/** What a job gives back, several at a time but without waiting for more than there are. A thread takes them from Flink, up to 4096 ahead. */
public final class Results {
  private static final Object END = new Object();

  private final BlockingQueue<Object> waiting = new ArrayBlockingQueue<>(4096);
  private final Thread reader;
  private volatile Throwable failure;
  private boolean isEnded;

  public Results(Iterator<byte[]> items) {
    reader = new Thread(() -> read(items), "martlet results");
    reader.setDaemon(true);
    reader.start();
  }

  private void read(Iterator<byte[]> items) {
    try {
      while (items.hasNext()) {
        waiting.put(items.next());
      }
    } catch (InterruptedException error) {
      return;
    } catch (Throwable error) {
      failure = error;
    }
    try {
      waiting.put(END);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }

  /** Some, up to `most`; none if there were none for `waitMs`; null after the last. */
  public List<Object> next(int most, long waitMs) throws Exception {
    if (isEnded) {
      return null;
    }
    List<Object> found = new ArrayList<>();
    Object first = waiting.poll(waitMs, TimeUnit.MILLISECONDS);
    if (first == null) {
      return found;
    }
    found.add(first);
    waiting.drainTo(found, most - 1);
    if (found.get(found.size() - 1) == END) {
      found.remove(found.size() - 1);
      isEnded = true;
      if (failure != null) {
        throw new Exception("the job has failed", failure);
      }
    }
    return found;
  }

  /** Ends the thread. */
  public void close() {
    reader.interrupt();
  }
}
