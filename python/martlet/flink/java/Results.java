package martlet.flink;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;

/**
 * What a job gives back, taken from Flink by a thread, up to 4096 elements ahead.
 *
 * <p>Python gets objects of Java's own classes only. Each of its threads may have another class loader here, and py4j remembers a method by
 * the names of its class and parameters: it would call the method of the same class from another loader.
 */
public final class Results {
  /** Comes after the last element; elements have bytes. */
  private static final byte[] END = {};

  private Results() {}

  /** The queue of elements and the end of the thread, which fails with what Flink threw, and which ends the thread when it is cancelled. */
  public static List<Object> of(Iterator<byte[]> items) {
    BlockingQueue<byte[]> waiting = new ArrayBlockingQueue<>(4096);
    CompletableFuture<Void> end = new CompletableFuture<>();
    Thread reader = new Thread(() -> read(items, waiting, end), "martlet results");
    reader.setDaemon(true);
    end.whenComplete((nothing, failure) -> reader.interrupt());
    reader.start();
    List<Object> both = new ArrayList<>();
    both.add(waiting);
    both.add(end);
    return both;
  }

  private static void read(Iterator<byte[]> items, BlockingQueue<byte[]> waiting, CompletableFuture<Void> end) {
    Throwable failure = null;
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
      return;
    }
    if (failure == null) {
      end.complete(null);
    } else {
      end.completeExceptionally(failure);
    }
  }
}
