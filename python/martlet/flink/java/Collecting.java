package martlet.flink;

import java.lang.reflect.Field;
import java.util.UUID;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.RpcOptions;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.collect.CollectResultIterator;
import org.apache.flink.streaming.api.operators.collect.CollectSinkOperatorFactory;
import org.apache.flink.streaming.api.operators.collect.CollectStreamSink;

/** DataStream.collectAsync with a {@link ResultsSink}, and a name of one's own for it: Flink's is another one for every parallelism. */
public final class Collecting {
  private Collecting() {}

  public static CollectResultIterator<byte[]> of(DataStream<byte[]> stream, String uid) throws ReflectiveOperationException {
    StreamExecutionEnvironment environment = stream.getExecutionEnvironment();
    TypeSerializer<byte[]> serializer = stream.getType().createSerializer(environment.getConfig().getSerializerConfig());
    String accumulator = "martlet-" + UUID.randomUUID();
    MemorySize batch = environment.getConfiguration().get(CollectSinkOperatorFactory.MAX_BATCH_SIZE);
    CollectSinkOperatorFactory<byte[]> factory =
        new CollectSinkOperatorFactory<>(
            serializer,
            accumulator,
            batch,
            environment.getConfiguration().get(CollectSinkOperatorFactory.SOCKET_TIMEOUT));
    put(factory, new ResultsSink(serializer, batch.getBytes(), accumulator));
    CollectStreamSink<byte[]> sink = new CollectStreamSink<>(stream, factory);
    sink.name(uid).uid(uid);
    CollectResultIterator<byte[]> found =
        new CollectResultIterator<>(
            uid,
            serializer,
            accumulator,
            environment.getCheckpointConfig(),
            environment.getConfiguration().get(RpcOptions.ASK_TIMEOUT_DURATION).toMillis());
    environment.registerCollectIterator(found);
    environment.addOperator(sink.getTransformation());
    return found;
  }

  /** A factory makes its operator itself, and it and the classes that it extends each remember it. */
  private static void put(Object factory, Object operator) throws ReflectiveOperationException {
    for (Class<?> type = factory.getClass(); type != Object.class; type = type.getSuperclass()) {
      for (Field field : type.getDeclaredFields()) {
        if (field.getName().equals("operator")) {
          field.setAccessible(true);
          field.set(factory, operator);
        }
      }
    }
  }
}
